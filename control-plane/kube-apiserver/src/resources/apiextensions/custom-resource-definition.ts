import type { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { isObject, type Draft } from "@coracle/apimachinery";
import type { RuleCheckPort } from "@coracle/apimachinery/structural";
import type { ApiDraft, ResourceDefinition } from "../../registry/resource-definition.ts";
import { holdForCleanup } from "../../extensions/definition.ts";
import { as } from "../validation/decoded.ts";
import { objectIn, objectsIn, setDefault, setDefaultText } from "../validation/pod-defaults.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";
import type * as judges from "./validate-definition.ts";

type Validation = typeof judges & { readonly rules: RuleCheckPort };

/** What judges schemas and rules is fetched with the first definition that is written: many clusters have none. */
let validation: Validation | undefined;

async function load(): Promise<void> {
  if (validation !== undefined) return;
  const [functions, { createRuleChecker }] = await Promise.all([
    import("./validate-definition.ts"),
    import("./rules/check-rules.ts"),
  ]);
  validation = { ...functions, rules: createRuleChecker() };
}

function loaded(): Validation {
  if (validation === undefined) throw new Error("the definition's rules are used before they were fetched");
  return validation;
}

function defaults(draft: ApiDraft): void {
  setDefault(draft, "spec", {});
  const spec = objectIn(draft, "spec");
  if (spec === undefined) return;
  setDefault(spec, "names", {});
  const names = objectIn(spec, "names");
  if (names !== undefined) {
    const kind = typeof names["kind"] === "string" ? names["kind"] : "";
    if (kind !== "") {
      setDefaultText(names, "singular", kind.toLowerCase());
      setDefaultText(names, "listKind", `${kind}List`);
    }
  }
  setDefault(spec, "conversion", {});
  const conversion = objectIn(spec, "conversion");
  if (conversion !== undefined) {
    setDefaultText(conversion, "strategy", "None");
    const service = objectIn(objectIn(objectIn(conversion, "webhook"), "clientConfig"), "service");
    if (service !== undefined) setDefault(service, "port", 443);
  }
  setDefault(draft, "status", {});
  const status = objectIn(draft, "status");
  if (status === undefined) return;
  if (!Array.isArray(status["storedVersions"]) || status["storedVersions"].length === 0) {
    const stored = objectsIn(spec, "versions").find((v) => v["storage"] === true);
    status["storedVersions"] = stored === undefined ? [] : [stored["name"]];
  }
}

/** The first version that is marked as the one to store. */
function storageVersionOf(draft: ApiDraft): string | undefined {
  const name = objectsIn(objectIn(draft, "spec"), "versions").find((version) => version["storage"] === true)?.["name"];
  return typeof name === "string" ? name : undefined;
}

export const customResourceDefinition: ResourceDefinition = {
  group: "apiextensions.k8s.io",
  version: "v1",
  plural: "customresourcedefinitions",
  kind: "CustomResourceDefinition",
  allowUnconditionalUpdate: false,
  hasFreeFinalizers: true,
  holdDeletion: holdForCleanup,
  defaults,
  prepareForCreate(draft) {
    const stored = storageVersionOf(draft);
    const fresh: Draft = {
      conditions: null,
      acceptedNames: { plural: "", kind: "" },
      storedVersions: stored === undefined ? [] : [stored],
    };
    draft["status"] = fresh;
  },
  load,
  validateNew: (object) => {
    const { rules, validateNewDefinition } = loaded();
    return validateNewDefinition(as<CustomResourceDefinition>(object), rules);
  },
  createWarnings: (object) => loaded().unknownFormats(as<CustomResourceDefinition>(object)),
  update: {
    prepare(draft, old) {
      keepStatus(draft, old);
      const status = isObject(draft["status"]) ? { ...draft["status"] } : {};
      const versions = Array.isArray(status["storedVersions"]) ? [...(status["storedVersions"] as string[])] : [];
      const stored = storageVersionOf(draft);
      if (stored !== undefined && !versions.includes(stored)) versions.push(stored);
      status["storedVersions"] = versions;
      draft["status"] = status;
    },
    validate: (object, old) => {
      const { rules, validateDefinitionUpdate } = loaded();
      return validateDefinitionUpdate(as<CustomResourceDefinition>(object), as<CustomResourceDefinition>(old), rules);
    },
    warnings: (object, old) => {
      const { unknownFormats } = loaded();
      const known = new Set(unknownFormats(as<CustomResourceDefinition>(old)));
      return unknownFormats(as<CustomResourceDefinition>(object)).filter((text) => !known.has(text));
    },
  },
  subresources: {
    status: {
      ...statusUpdate,
      validate: (object) => loaded().acceptedNamesErrors(as<CustomResourceDefinition>(object)),
    },
  },
};
