import { isCustom, type OpenApiResource } from "./openapi-resource.ts";
import { operationId, subresourceId, versionTag } from "./operation-names.ts";
import type { Operation, Parameter } from "./operation.ts";

const META = "io.k8s.apimachinery.pkg.apis.meta.v1";
/** The types that operations name beside those of their resources. */
export const STATUS_TYPE = `${META}.Status`;
const DELETE_OPTIONS = `${META}.DeleteOptions`;
const PATCH = `${META}.Patch`;
const WATCH_EVENT = `${META}.WatchEvent`;

const TEXTS = ["application/json", "application/yaml"];
const ALL = [...TEXTS, "application/vnd.kubernetes.protobuf"];
const STREAMS = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
const ANY = ["*/*"];
const PATCHES = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
const ALL_PATCHES = [
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
  "application/apply-patch+yaml",
];

const named = (text: string): readonly Parameter[] =>
  text.split(" ").map((each) => {
    const [name = "", type = "string"] = each.split(":");
    return { name, type };
  });
const inPath = (name: string): Parameter => ({ name, type: "string", in: "path" });

const PRETTY = named("pretty");
const WRITE = named("dryRun fieldManager fieldValidation");
const FORCE = named("force:boolean");
const DELETE = named(
  "dryRun gracePeriodSeconds:integer ignoreStoreReadErrorWithClusterBreakingPotential:boolean orphanDependents:boolean propagationPolicy",
);
const LIST = named(
  "allowWatchBookmarks:boolean continue fieldSelector labelSelector limit:integer resourceVersion resourceVersionMatch sendInitialEvents:boolean timeoutSeconds:integer watch:boolean",
);
const DELETE_MANY = [...DELETE, ...LIST.filter(({ name }) => name !== "allowWatchBookmarks" && name !== "watch")];

/** What connections take beside the path. */
const CONNECTIONS: Readonly<Record<string, readonly Parameter[]>> = {
  attach: named("container stderr:boolean stdin:boolean stdout:boolean tty:boolean"),
  exec: named("command container stderr:boolean stdin:boolean stdout:boolean tty:boolean"),
  portforward: named("ports:integer"),
  proxy: named("path"),
};
const LOG = named(
  "container follow:boolean insecureSkipTLSVerifyBackend:boolean limitBytes:integer previous:boolean sinceSeconds:integer stream tailLines:integer timestamps:boolean",
);

/** Kinds whose deletion answers the object. */
const ANSWERED_WHEN_DELETED: ReadonlySet<string> = new Set([
  "persistentvolumeclaims",
  "persistentvolumes",
  "pods",
  "podtemplates",
  "resourcequotas",
  "serviceaccounts",
  "services",
  "deviceclasses",
  "resourceclaims",
  "resourceclaimtemplates",
  "resourceslices",
  "csidrivers",
  "csinodes",
  "storageclasses",
  "volumeattachments",
  "volumeattributesclasses",
]);

/** Finds the definition of a kind. */
export type TypeFinder = (group: string, version: string, kind: string) => string | undefined;

/** Every path of a resource, with what can be done there. */
export function operationsOf(
  resource: OpenApiResource,
  typeOf: TypeFinder,
): readonly (readonly [path: string, operations: readonly Operation[]])[] {
  return new ResourceOperations(resource, typeOf).paths();
}

type Paths = [string, readonly Operation[]][];

class ResourceOperations {
  readonly #resource: OpenApiResource;
  readonly #typeOf: TypeFinder;
  readonly #type: string | undefined;
  readonly #scope: string;
  readonly #isCustom: boolean;

  constructor(resource: OpenApiResource, typeOf: TypeFinder) {
    this.#resource = resource;
    this.#typeOf = typeOf;
    this.#type = typeOf(resource.group, resource.version, resource.kind);
    this.#scope = resource.namespaced ? "Namespaced" : "";
    this.#isCustom = isCustom(resource);
  }

  paths(): Paths {
    const { group, version, plural, namespaced, listKind, subresources = {}, kind } = this.#resource;
    const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
    const below = namespaced ? `namespaces/{namespace}/${plural}` : plural;
    const out: Paths = [];
    const add = (path: string, operations: readonly Operation[]): void => {
      if (operations.length > 0) out.push([path, operations]);
    };
    add(`${root}/${below}`, this.#collection());
    add(`${root}/${below}/{name}`, this.#items());
    for (const name of Object.keys(subresources)) {
      add(`${root}/${below}/{name}/${name}`, this.#subresource(name, ""));
      if (name === "proxy") add(`${root}/${below}/{name}/proxy/{path}`, this.#subresource(name, "WithPath"));
    }
    const list = listKind ? this.#typeOf(group, version, listKind) : undefined;
    if (namespaced && this.#has("list"))
      add(`${root}/${plural}`, [this.#list(`${kind}ForAllNamespaces`, list, [...LIST, ...PRETTY])]);
    if (!this.#has("watch") || this.#isCustom) return out;
    const watch = [...this.#pathParameters(), ...LIST, ...PRETTY];
    add(`${root}/watch/${below}`, [this.#watch(`${this.#scope}${kind}List`, "watchlist", watch)]);
    if (this.#has("get"))
      add(`${root}/watch/${below}/{name}`, [this.#watch(`${this.#scope}${kind}`, "watch", [...watch, inPath("name")])]);
    if (namespaced)
      add(`${root}/watch/${plural}`, [this.#watch(`${kind}ListForAllNamespaces`, "watchlist", [...LIST, ...PRETTY])]);
    return out;
  }

  #has(verb: string): boolean {
    return this.#resource.verbs.includes(verb);
  }

  #pathParameters(...more: string[]): readonly Parameter[] {
    return [...(this.#resource.namespaced ? ["namespace"] : []), ...more].map(inPath);
  }

  /** What all operations on the resource have in common. */
  #base(
    method: string,
    verb: string,
    rest: string,
  ): Pick<Operation, "method" | "id" | "tag" | "gvk" | "consumes" | "produces"> {
    const { group, version, kind } = this.#resource;
    return {
      method,
      id: operationId(verb, group, version, rest),
      tag: versionTag(group, version),
      gvk: { group, version, kind },
      consumes: this.#isCustom ? TEXTS : ANY,
      produces: this.#isCustom ? TEXTS : ALL,
    };
  }

  #list(rest: string, list: string | undefined, parameters: readonly Parameter[]): Operation {
    return {
      ...this.#base("get", "list", rest),
      produces: this.#isCustom ? TEXTS : [...ALL, ...STREAMS],
      action: "list",
      codes: ["200"],
      answer: list,
      parameters,
    };
  }

  #watch(rest: string, action: string, parameters: readonly Parameter[]): Operation {
    return {
      ...this.#base("get", "watch", rest),
      produces: [...ALL, ...STREAMS],
      action,
      codes: ["200"],
      answer: WATCH_EVENT,
      parameters,
    };
  }

  #collection(): readonly Operation[] {
    const { group, version, kind, listKind } = this.#resource;
    const common = [...this.#pathParameters(), ...PRETTY];
    const out: Operation[] = [];
    const list = listKind ? this.#typeOf(group, version, listKind) : undefined;
    if (this.#has("list")) out.push(this.#list(`${this.#scope}${kind}`, list, [...common, ...LIST]));
    if (this.#has("create")) out.push(this.#create(`${this.#scope}${kind}`, this.#type, common));
    if (this.#has("deletecollection"))
      out.push({
        ...this.#base("delete", "delete", `Collection${this.#scope}${kind}`),
        action: "deletecollection",
        body: this.#isCustom ? undefined : { type: DELETE_OPTIONS, isRequired: false },
        codes: ["200"],
        answer: STATUS_TYPE,
        parameters: [...common, ...(this.#isCustom ? LIST : dedupe(DELETE_MANY))],
      });
    return out;
  }

  #create(rest: string, type: string | undefined, common: readonly Parameter[]): Operation {
    return {
      ...this.#base("post", "create", rest),
      action: "post",
      body: type === undefined ? undefined : { type, isRequired: true },
      codes: ["200", "201", "202"],
      answer: type,
      parameters: [...common, ...WRITE],
    };
  }

  #items(): readonly Operation[] {
    const { kind, plural, verbs } = this.#resource;
    const common = [...this.#pathParameters("name"), ...PRETTY];
    const out = [...this.#readAndWrite(`${this.#scope}${kind}`, verbs, this.#type, common)];
    if (!this.#has("delete")) return out;
    out.push({
      ...this.#base("delete", "delete", `${this.#scope}${kind}`),
      action: "delete",
      body: { type: DELETE_OPTIONS, isRequired: false },
      codes: ["200", "202"],
      answer: !this.#isCustom && ANSWERED_WHEN_DELETED.has(plural) ? this.#type : STATUS_TYPE,
      parameters: [...common, ...DELETE],
    });
    return out;
  }

  #readAndWrite(
    rest: string,
    verbs: readonly string[],
    type: string | undefined,
    common: readonly Parameter[],
  ): readonly Operation[] {
    const out: Operation[] = [];
    const version = this.#isCustom ? named("resourceVersion") : [];
    if (verbs.includes("get"))
      out.push({
        ...this.#base("get", "read", rest),
        action: "get",
        codes: ["200"],
        answer: type,
        parameters: [...common, ...version],
      });
    if (verbs.includes("update"))
      out.push({
        ...this.#base("put", "replace", rest),
        action: "put",
        body: type === undefined ? undefined : { type, isRequired: true },
        codes: ["200", "201"],
        answer: type,
        parameters: [...common, ...WRITE],
      });
    if (verbs.includes("patch"))
      out.push({
        ...this.#base("patch", "patch", rest),
        consumes: this.#isCustom ? PATCHES : ALL_PATCHES,
        action: "patch",
        body: { type: PATCH, isRequired: true },
        codes: this.#isCustom ? ["200"] : ["200", "201"],
        answer: type,
        parameters: [...common, ...WRITE, ...FORCE],
      });
    return out;
  }

  #subresource(name: string, suffix: string): readonly Operation[] {
    const sub = this.#resource.subresources?.[name];
    if (sub === undefined) return [];
    const rest = `${this.#scope}${this.#resource.kind}${subresourceId(name)}${suffix}`;
    const gvk = { group: sub.group, version: sub.version, kind: sub.kind };
    const connection = CONNECTIONS[name];
    if (connection !== undefined) return this.#connections(name, rest, sub.verbs, connection, suffix !== "");
    const type = this.#typeOf(sub.group, sub.version, sub.kind) ?? this.#type;
    const common = [...this.#pathParameters("name"), ...PRETTY];
    if (name === "log")
      return [
        {
          ...this.#base("get", "read", rest),
          produces: ["text/plain", ...ALL],
          action: "get",
          codes: ["200"],
          parameters: [...common, ...LOG],
        },
      ];
    const operations = [...this.#readAndWrite(rest, sub.verbs, type, common)];
    if (sub.verbs.includes("create")) operations.push(this.#create(rest, type, common));
    return operations.map((operation) => ({ ...operation, gvk }));
  }

  #connections(
    name: string,
    rest: string,
    verbs: readonly string[],
    parameters: readonly Parameter[],
    hasPath: boolean,
  ): readonly Operation[] {
    const { group, version } = this.#resource;
    const sub = this.#resource.subresources?.[name];
    const methods = name === "proxy" ? ["get", "put", "post", "delete", "options", "head", "patch"] : ["get", "post"];
    if (verbs.length === 0 || sub === undefined) return [];
    return methods.map((method) => ({
      ...this.#base(method, "connect", ""),
      id: operationId("connect", group, version, subresourceId(method) + rest),
      gvk: { group: sub.group, version: sub.version, kind: sub.kind },
      consumes: ANY,
      produces: ANY,
      action: "connect",
      codes: ["200"],
      parameters: [...this.#pathParameters("name", ...(hasPath ? ["path"] : [])), ...parameters],
    }));
  }
}

function dedupe(parameters: readonly Parameter[]): readonly Parameter[] {
  return [...new Map(parameters.map((parameter) => [parameter.name, parameter])).values()];
}
