import type { OpenApiResource } from "@coracle/api";
import type { CustomResourceDefinition, CustomResourceDefinitionVersion } from "@coracle/api/apiextensions/v1";
import { isObject, type Draft } from "@coracle/apimachinery";
import { catalogResourceOf } from "./version-handler.ts";

const META = "io.k8s.apimachinery.pkg.apis.meta.v1";
const CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
const API_VERSION_TEXT = `APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: ${CONVENTIONS}#resources`;
const KIND_TEXT = `Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: ${CONVENTIONS}#types-kinds`;
const METADATA = {
  description: `Standard object's metadata. More info: ${CONVENTIONS}#metadata`,
  $ref: `${META}.ObjectMeta`,
};
const LIST_METADATA = {
  description: `Standard list metadata. More info: ${CONVENTIONS}#types-kinds`,
  $ref: `${META}.ListMeta`,
};
const TYPE_META = {
  apiVersion: { description: API_VERSION_TEXT, type: "string" },
  kind: { description: KIND_TEXT, type: "string" },
};
/** Of objects within objects. */
const EMBEDDED_META = {
  apiVersion: {
    description: `apiVersion defines the versioned schema of this representation of an object. More info: ${CONVENTIONS}#resources`,
    type: "string",
  },
  kind: {
    description: `kind is a string value representing the type of this object. In CamelCase. More info: ${CONVENTIONS}#types-kinds`,
    type: "string",
  },
  metadata: METADATA,
};

type Form = "v2" | "v3";
const PRESERVES = "x-kubernetes-preserve-unknown-fields";
const JUNCTORS = ["allOf", "anyOf", "oneOf", "not"] as const;
const UNPUBLISHED: ReadonlySet<string> = new Set(["example", "externalDocs", "id", "$schema", "$ref", "definitions"]);

/** A schema as it is published: in version 2 without what its readers cannot cope with. */
export function publishedSchema(schema: Draft, form: Form): Draft {
  const out: Draft = {};
  for (const [key, value] of Object.entries(schema)) {
    if (UNPUBLISHED.has(key)) continue;
    if (key === "properties" && isObject(value)) {
      const members = Object.entries(value).map(([name, member]) => [name, publishedSchema(member as Draft, form)]);
      out.properties = Object.fromEntries(members);
    } else if ((key === "items" || key === "additionalProperties") && isObject(value)) {
      out[key] = publishedSchema(value, form);
    } else out[key] = value;
  }
  if (form === "v3" && out["x-kubernetes-int-or-string"] === true && out.anyOf === undefined) {
    out.anyOf = [{ type: "integer" }, { type: "string" }];
  }
  if (form === "v2") simplify(schema, out);
  if (out["x-kubernetes-embedded-resource"] === true && !(form === "v2" && out[PRESERVES] === true)) {
    out.properties = { ...(out.properties as Draft | undefined), ...EMBEDDED_META };
    const required = (out.required as readonly string[] | undefined) ?? [];
    out.required = [...required, ...["kind", "apiVersion"].filter((name) => !required.includes(name))];
  }
  return out;
}

/** Leaves out what kubectl's reader of version 2 takes for something else. */
function simplify(schema: Draft, out: Draft): void {
  for (const junctor of JUNCTORS) delete out[junctor];
  const isNullable = out.nullable === true;
  delete out.nullable;
  const isOpen = out[PRESERVES] === true;
  if (isNullable || isOpen) {
    delete out.items;
    delete out.properties;
  }
  if (isNullable || (out.type === "array" && out.items === undefined) || (isOpen && out.type === "object")) {
    delete out.type;
  }
  const members = isObject(schema.properties) ? schema.properties : {};
  const isNullableMember = (name: string): boolean => isObject(members[name]) && members[name].nullable === true;
  const { additionalProperties } = schema;
  if (Array.isArray(out.required)) {
    const required = (out.required as string[]).filter((name) => !isNullableMember(name));
    if (required.length === 0 || (isObject(additionalProperties) && additionalProperties.nullable === true)) {
      delete out.required;
    } else out.required = required;
  }
}

function typeOf(crd: CustomResourceDefinition, version: CustomResourceDefinitionVersion, form: Form): Draft {
  const schema = version.schema?.openAPIV3Schema as Draft | undefined;
  const isOpen = crd.spec.preserveUnknownFields === true || schema?.[PRESERVES] === true;
  // Members that are named would seem to be all there are.
  if (schema === undefined || (form === "v2" && isOpen)) return { type: "object" };
  const out = publishedSchema(schema, form);
  out.properties = { ...(out.properties as Draft | undefined), ...TYPE_META, metadata: METADATA };
  return out;
}

const described = new WeakMap<CustomResourceDefinition, readonly OpenApiResource[]>();

/** The served versions of a definition, as the OpenAPI documents describe them. The same for the same definition. */
export function openApiResourcesOf(crd: CustomResourceDefinition): readonly OpenApiResource[] {
  let resources = described.get(crd);
  if (resources === undefined) {
    resources = describeVersions(crd);
    described.set(crd, resources);
  }
  return resources;
}

function describeVersions(crd: CustomResourceDefinition): readonly OpenApiResource[] {
  return crd.spec.versions
    .filter(({ served }) => served)
    .map((version) => {
      const { subresources, group, kind, plural, namespaced, verbs, listKind = "" } = catalogResourceOf(crd, version);
      const selectable = (version.selectableFields ?? []).map(({ jsonPath }) => ({
        fieldPath: jsonPath.replace(/^\./, ""),
      }));
      const more = selectable.length === 0 ? {} : { "x-kubernetes-selectable-fields": selectable };
      const item = [...group.split(".").reverse(), version.name, kind].join(".");
      const list = {
        description: `${listKind} is a list of ${kind}`,
        type: "object",
        required: ["items"],
        properties: {
          ...TYPE_META,
          items: { description: `List of ${plural}. More info: ${CONVENTIONS}`, type: "array", items: { $ref: item } },
          metadata: LIST_METADATA,
        },
        ...more,
      };
      return {
        group,
        version: version.name,
        kind,
        listKind,
        plural,
        namespaced,
        verbs,
        subresources: Object.fromEntries(subresources),
        types: {
          v2: { ...typeOf(crd, version, "v2"), ...more },
          v3: { ...typeOf(crd, version, "v3"), ...more },
          list,
        },
      };
    });
}
