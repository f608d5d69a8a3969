import { isObject, type Draft } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import { createTestControlPlane } from "../control-plane/test-control-plane.ts";
import { loadSeeds, nameOf } from "./seeds.ts";

/** Made for the one object, or out of who asks: not comparable with what upstream once made. */
const OWN = new Set(["uid", "creationTimestamp", "resourceVersion", "managedFields", "lastPhaseTransitionTime"]);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-/;
const CLUSTER_IP = /^10\.96\./;

function comparable(value: unknown, key = ""): unknown {
  if (typeof value === "string") return UUID.test(value) ? "<uid>" : CLUSTER_IP.test(value) ? "<cluster ip>" : value;
  if (typeof value === "number" && /nodePort$/i.test(key)) return "<port>";
  if (Array.isArray(value)) return value.map((item: unknown) => comparable(item));
  if (!isObject(value)) return value;
  const members = Object.entries(value).filter(([name]) => !OWN.has(name));
  return Object.fromEntries(members.map(([name, member]) => [name, comparable(member, name)]));
}

/** Upstream was observed without the admission of service accounts, and as another user. */
function withoutRequester(object: Draft): Draft {
  const { kind, spec } = object;
  if (!isObject(spec)) return object;
  const hidden =
    kind === "Pod"
      ? ["serviceAccountName", "serviceAccount"]
      : kind === "CertificateSigningRequest"
        ? ["username", "groups", "extra"]
        : [];
  return { ...object, spec: Object.fromEntries(Object.entries(spec).filter(([name]) => !hidden.includes(name))) };
}

const form = (object: Draft): unknown => comparable(withoutRequester(object));

describe("each object that upstream's API server was given", () => {
  it("is stored and answered as it was there, every default included", async () => {
    await using plane = await createTestControlPlane({ components: [] });
    await using transport = plane.transportOf("kubernetes-admin", "system:masters");
    const post = async (path: string, object: unknown): Promise<Draft> => {
      const answer = await transport.request({
        method: "POST",
        path,
        headers: { "content-type": "application/json" },
        body: Buffer.from(JSON.stringify(object)),
      });
      const chunks: Buffer[] = [];
      for await (const chunk of answer.body) chunks.push(chunk);
      return JSON.parse(Buffer.concat(chunks).toString("utf8")) as Draft;
    };
    for (const name of ["default", "builder"]) {
      const account = { apiVersion: "v1", kind: "ServiceAccount", automountServiceAccountToken: false };
      await post("/api/v1/namespaces/default/serviceaccounts", { ...account, metadata: { name } });
    }
    const seeds = loadSeeds();
    const different: string[] = [];
    for (const { seed, path, object, answer } of seeds) {
      const ours = await post(path, object);
      try {
        expect(form(ours)).toEqual(form(answer));
      } catch (error) {
        different.push(`${seed} ${nameOf(object)}: ${(error as Error).message} ${JSON.stringify(form(ours))}`);
      }
    }
    expect(different).toEqual([]);
    expect(seeds).toHaveLength(65);
  }, 60_000);
});
