// Writes tables/go-zero.json: for each definition, the members that are left out of JSON when they are zero.
// A pointer keeps its zero, a plain value that may be omitted does not; the schema alone cannot tell the two apart,
// the protobuf table can (`always` marks plain values).
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const table = (name) => JSON.parse(readFileSync(join(here, "../tables", `${name}.json`), "utf8"));
const { messages } = table("protobuf");
const SCALARS = new Set(["string", "bool", "int32", "int64", "double"]);

/** `io.k8s.api.core.v1.Pod` → `k8s.io.api.core.v1.Pod`. */
const messageName = (definition) => definition.replace(/^io\.k8s\./, "k8s.io.").replaceAll("-", "_");

function plainMembers(name) {
  const members = [];
  for (const [, field, type, label, extras] of messages[name]?.f ?? []) {
    if (extras?.inline) members.push(...plainMembers(type));
    else if (extras?.always && label === "optional" && SCALARS.has(type)) members.push(extras.json ?? field);
  }
  return members;
}

// Declared zero defaults that are not shown (the member is omitted all the same), and members whose zero the
// defaulting rules replace, so that zero and absent must look alike.
const ALSO_OMITTED = {
  "io.k8s.api.batch.v1.PodFailurePolicyOnPodConditionsPattern": ["status"],
  "io.k8s.api.core.v1.ConfigMapEnvSource": ["name"],
  "io.k8s.api.core.v1.ConfigMapKeySelector": ["name"],
  "io.k8s.api.core.v1.ConfigMapProjection": ["name"],
  "io.k8s.api.core.v1.ConfigMapVolumeSource": ["name"],
  "io.k8s.api.core.v1.LocalObjectReference": ["name"],
  "io.k8s.api.core.v1.NodeRuntimeHandler": ["name"],
  "io.k8s.api.core.v1.ReplicationControllerSpec": ["minReadySeconds"],
  "io.k8s.api.core.v1.SecretEnvSource": ["name"],
  "io.k8s.api.core.v1.SecretKeySelector": ["name"],
  "io.k8s.api.core.v1.SecretProjection": ["name"],
  "io.k8s.api.flowcontrol.v1.FlowSchemaSpec": ["matchingPrecedence"],
  "io.k8s.api.flowcontrol.v1.QueuingConfiguration": ["handSize", "queueLengthLimit", "queues"],
  "io.k8s.api.rbac.v1.RoleRef": ["apiGroup"],
};

const lines = [];
for (const name of ["schema", "schema-extra"]) {
  for (const [definition, schema] of Object.entries(table(name).definitions)) {
    const omitted = plainMembers(messageName(definition)).filter((member) => {
      const property = schema.properties?.[member];
      return property !== undefined && property.default === undefined && !schema.required?.includes(member);
    });
    omitted.push(...(ALSO_OMITTED[definition] ?? []));
    if (omitted.length > 0) lines.push(`${JSON.stringify(definition)}:${JSON.stringify(omitted.sort())}`);
  }
}
writeFileSync(join(here, "../tables/go-zero.json"), `{\n"definitions":{\n${lines.join(",\n")}\n}\n}\n`);
