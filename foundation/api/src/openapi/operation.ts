/** JSON that is being put together. */
export type Json = { [key: string]: unknown };
/** OpenAPI 2.0, or 3.0. */
export type Form = "v2" | "v3";

/** A parameter: its name, its type, and where it is; in the query unless told otherwise. */
export interface Parameter {
  readonly name: string;
  readonly type: string;
  readonly in?: "path";
}

/** What can be done at a path with one method, independent of the form it is written in. */
export interface Operation {
  readonly method: string;
  readonly id: string;
  readonly tag: string;
  /** Absent for what is no business of a kind. */
  readonly action?: string;
  readonly gvk?: { readonly group: string; readonly version: string; readonly kind: string };
  /** Absent: none is read. */
  readonly consumes?: readonly string[];
  readonly produces: readonly string[];
  readonly body?: { readonly type: string; readonly isRequired: boolean } | undefined;
  /** The codes of success, which all answer the same. */
  readonly codes: readonly ("200" | "201" | "202")[];
  /** Absent: text. */
  readonly answer?: string | undefined;
  readonly parameters: readonly Parameter[];
}

const CODES = { "200": "OK", "201": "Created", "202": "Accepted" } as const;

/** How a document refers to a type. */
export const reference = (form: Form, type: string): Json => ({
  $ref: form === "v3" ? `#/components/schemas/${type}` : `#/definitions/${type}`,
});

/** A path's entry. What all its operations take is said once, for the path. */
export function writePath(form: Form, operations: readonly Operation[]): Json {
  const key = (parameter: Parameter): string => `${parameter.name} ${placeOf(parameter)} ${parameter.type}`;
  const [first, ...rest] = operations;
  const shared = (first?.parameters ?? []).filter((parameter) =>
    rest.every((operation) => operation.parameters.some((other) => key(other) === key(parameter))),
  );
  const sharedKeys = new Set(shared.map(key));
  const out: Json = {};
  for (const operation of operations) {
    const own = operation.parameters.filter((parameter) => !sharedKeys.has(key(parameter)));
    out[operation.method] = writeOperation(form, operation, own);
  }
  if (shared.length > 0) out["parameters"] = sorted(shared).map((parameter) => writeParameter(form, parameter));
  return out;
}

const sorted = (parameters: readonly Parameter[]): Parameter[] =>
  [...parameters].sort((a, b) => (a.name === b.name ? (a.in === "path" ? -1 : 1) : a.name < b.name ? -1 : 1));

const placeOf = (parameter: Parameter): "path" | "query" => parameter.in ?? "query";

function writeParameter(form: Form, parameter: Parameter): Json {
  const { name, type } = parameter;
  const place = placeOf(parameter);
  const required = place === "path" ? { required: true } : {};
  return form === "v3"
    ? { name, in: place, ...required, schema: { type, uniqueItems: true } }
    : { uniqueItems: true, type, name, in: place, ...required };
}

function writeOperation(form: Form, operation: Operation, parameters: readonly Parameter[]): Json {
  const { id, tag, action, gvk, consumes, produces, body } = operation;
  const written: Json[] = sorted(parameters).map((parameter) => writeParameter(form, parameter));
  const out: Json = { tags: [tag], operationId: id };
  if (form === "v2") {
    if (consumes !== undefined) out["consumes"] = consumes;
    out["produces"] = produces;
    out["schemes"] = ["https"];
    if (body !== undefined) {
      const required = body.isRequired ? { required: true } : {};
      written.unshift({ name: "body", in: "body", ...required, schema: reference(form, body.type) });
    }
  } else if (body !== undefined) {
    const content = contentOf(consumes ?? [], reference(form, body.type));
    out["requestBody"] = body.isRequired ? { content, required: true } : { content };
  }
  if (written.length > 0) out["parameters"] = written;
  out["responses"] = writeResponses(form, operation);
  if (action !== undefined) out["x-kubernetes-action"] = action;
  if (gvk !== undefined) out["x-kubernetes-group-version-kind"] = gvk;
  return out;
}

function writeResponses(form: Form, { codes, answer, produces }: Operation): Json {
  const schema = answer === undefined ? { type: "string" } : reference(form, answer);
  const out: Json = {};
  for (const code of codes)
    out[code] = {
      description: CODES[code],
      ...(form === "v2" ? { schema } : { content: contentOf(produces, schema) }),
    };
  out["401"] = { description: "Unauthorized" };
  return out;
}

const contentOf = (types: readonly string[], schema: Json): Json =>
  Object.fromEntries(types.map((type) => [type, { schema }]));
