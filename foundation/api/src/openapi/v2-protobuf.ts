/**
 * The OpenAPI v2 document as protobuf (`openapi.v2.Document` of gnostic's OpenAPIv2.proto), which is the only form that
 * kubectl asks for. Numbers below are that file's field numbers.
 */

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** A length-delimited field; nothing for an absent value. */
function bytesField(number: number, content: Buffer | string | undefined): Buffer[] {
  if (content === undefined) return [];
  const body = typeof content === "string" ? Buffer.from(content) : content;
  return [varint(number * 8 + 2), varint(body.length), body];
}

const textField = (number: number, value: unknown): Buffer[] =>
  typeof value === "string" ? bytesField(number, value) : [];
const boolField = (number: number, value: unknown): Buffer[] => (value === true ? [varint(number * 8), varint(1)] : []);
const textsField = (number: number, value: unknown): Buffer[] =>
  Array.isArray(value) ? value.flatMap((each) => textField(number, each)) : [];

/** A map as a list of (name, value) messages, in order. */
const namedField = (number: number, map: unknown, encode: (value: unknown) => Buffer): Buffer[] =>
  isObject(map)
    ? Object.entries(map).flatMap(([name, value]) =>
        bytesField(number, Buffer.concat([...bytesField(1, name), ...bytesField(2, encode(value))])),
      )
    : [];

/** `Any`: free values travel as YAML, and JSON is that. */
const any = (value: unknown): Buffer => Buffer.concat(bytesField(2, `${JSON.stringify(value)}\n`));

/** Members whose name begins with `x-`. */
const extensions = (number: number, of: Json): Buffer[] =>
  namedField(number, Object.fromEntries(Object.entries(of).filter(([name]) => name.startsWith("x-"))), any);

function schema(value: unknown): Buffer {
  const of = isObject(value) ? value : {};
  const { additionalProperties, items, type } = of;
  return Buffer.concat([
    ...textField(1, of["$ref"]),
    ...textField(2, of["format"]),
    ...textField(3, of["title"]),
    ...textField(4, of["description"]),
    ...(of["default"] === undefined ? [] : bytesField(5, any(of["default"]))),
    ...textField(13, of["pattern"]),
    ...textsField(19, of["required"]),
    ...(Array.isArray(of["enum"]) ? of["enum"].flatMap((each) => bytesField(20, any(each))) : []),
    ...(isObject(additionalProperties)
      ? bytesField(21, Buffer.concat(bytesField(1, schema(additionalProperties))))
      : additionalProperties === true
        ? bytesField(21, Buffer.concat(boolField(2, true)))
        : []),
    ...(type === undefined ? [] : bytesField(22, Buffer.concat(textsField(1, [type].flat())))),
    ...(isObject(items) ? bytesField(23, Buffer.concat(bytesField(1, schema(items)))) : []),
    ...(isObject(of["properties"]) ? bytesField(25, Buffer.concat(namedField(1, of["properties"], schema))) : []),
    ...extensions(31, of),
  ]);
}

/** Query parameters alone: clients look there for `dryRun` and `fieldValidation`. */
function parameter(value: unknown): Buffer | undefined {
  if (!isObject(value) || value["in"] !== "query") return undefined;
  const query = Buffer.concat([
    ...boolField(1, value["required"]),
    ...textField(2, value["in"]),
    ...textField(4, value["name"]),
    ...textField(6, value["type"]),
    ...boolField(20, value["uniqueItems"]),
  ]);
  // ParametersItem → Parameter → NonBodyParameter → QueryParameterSubSchema
  return Buffer.concat(bytesField(1, Buffer.concat(bytesField(2, Buffer.concat(bytesField(3, query))))));
}

const parameters = (number: number, list: unknown): Buffer[] =>
  Array.isArray(list) ? list.flatMap((each) => bytesField(number, parameter(each))) : [];

function operation(value: unknown): Buffer {
  const of = isObject(value) ? value : {};
  return Buffer.concat([
    ...textsField(1, of["tags"]),
    ...textField(5, of["operationId"]),
    ...textsField(6, of["produces"]),
    ...textsField(7, of["consumes"]),
    ...parameters(8, of["parameters"]),
    ...extensions(13, of),
  ]);
}

const METHODS = { get: 2, put: 3, post: 4, delete: 5, options: 6, head: 7, patch: 8 } as const;

function pathItem(value: unknown): Buffer {
  const of = isObject(value) ? value : {};
  return Buffer.concat([
    ...Object.entries(METHODS).flatMap(([method, number]) =>
      of[method] === undefined ? [] : bytesField(number, operation(of[method])),
    ),
    ...parameters(9, of["parameters"]),
  ]);
}

/** Encodes a document that was made as JSON. */
export function encodeOpenApiV2(document: Json): Buffer {
  const info = isObject(document["info"]) ? document["info"] : {};
  return Buffer.concat([
    ...textField(1, document["swagger"]),
    ...bytesField(2, Buffer.concat([...textField(1, info["title"]), ...textField(2, info["version"])])),
    ...bytesField(8, Buffer.concat(namedField(2, document["paths"], pathItem))),
    ...bytesField(9, Buffer.concat(namedField(1, document["definitions"], schema))),
  ]);
}
