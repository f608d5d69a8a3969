import type { Draft } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  admin,
  failureOf,
  objectOf,
  openRegistryFixture,
  strictWrite,
  type RegistryFixture,
} from "../../registry/registry-fixture.ts";
import { resourceDefinitions } from "../index.ts";

let fixture: RegistryFixture;
beforeEach(async () => {
  fixture = await openRegistryFixture({ definitions: resourceDefinitions });
});
afterEach(() => fixture[Symbol.asyncDispose]());

const podWith = (spec: Draft = {}, metadata: Draft = {}): Draft => ({
  metadata: { name: "p", ...metadata },
  spec: { containers: [{ name: "c", image: "i" }], ...spec },
});
const create = async (pod: Draft): Promise<Draft> =>
  objectOf(await fixture.handler("pods").create(admin, "default", pod, strictWrite));
async function change(subresource: string, edit: (pod: Draft) => void): Promise<Draft> {
  const pods = fixture.handler("pods");
  const pod = structuredClone(objectOf(await pods.get(admin, "default", "p", {})));
  edit(pod);
  const answer = pods.subresource(subresource)?.update?.(admin, "default", "p", pod, strictWrite);
  if (answer === undefined) throw new Error(`pods have no ${subresource}`);
  return objectOf(await answer);
}
const report = (status: Draft): Promise<Draft> =>
  change("status", (pod) => void (pod["status"] = { ...(pod["status"] as Draft), ...status }));

describe("a pod's status", () => {
  const ended = (exitCode: number): Draft => ({ name: "c", state: { terminated: { exitCode } }, ...REST });
  const going: Draft = { name: "c", state: { running: {} } };
  const REST = { ready: false, restartCount: 0, image: "", imageID: "" };

  it.each<[string, Draft, number, boolean]>([
    ["never, where pods do not restart", { restartPolicy: "Never" }, 1, false],
    ["after a failure, where failures are tried again", { restartPolicy: "OnFailure" }, 1, true],
    ["not after a success, where failures are tried again", { restartPolicy: "OnFailure" }, 0, false],
    ["always, where pods go on for ever", { restartPolicy: "Always" }, 0, true],
  ])("lets what has ended run again: %s", async (_rule, spec, exitCode, isFine) => {
    await create(podWith(spec));
    await report({ containerStatuses: [ended(exitCode)] });
    const again = report({ containerStatuses: [{ ...REST, ...going }] });
    if (isFine) await again;
    else
      expect((await failureOf(again)).message).toBe(
        'Pod "p" is invalid: status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state',
      );
  });

  it.each<[Draft, string]>([
    [{ qosClass: "Guaranteed" }, 'status.qosClass: Invalid value: "Guaranteed": field is immutable'],
    [{ observedGeneration: -1 }, "status.observedGeneration: Invalid value: -1: must be a non-negative integer"],
    [{ conditions: [{ type: "a b", status: "True" }] }, 'status.conditions[0].Type: Invalid value: "a b"'],
    [{ podIPs: [{ ip: "x" }] }, 'status.podIPs[0]: Invalid value: "x": must be a valid IP address'],
    [{ podIPs: [{ ip: "10.0.0.1" }, { ip: "10.0.0.2" }] }, "may specify no more than one IP for each IP family"],
    [{ hostIPs: [{ ip: "10.0.0.1" }], hostIP: "10.0.0.2" }, "status.hostIPs[0].ip: Invalid value"],
    [{ resourceClaimStatuses: [{ name: "x" }] }, "must match the name of an entry in `spec.resourceClaims`"],
    [{ nominatedNodeName: "Bad_Name" }, 'status.nominatedNodeName: Invalid value: "Bad_Name"'],
  ])("is refused: %j", async (status, message) => {
    await create(podWith());
    const failure = await failureOf(report(status));
    expect(failure.code).toBe(422);
    expect(failure.message).toContain(message);
  });

  it("nominates no node for a pod that has one", async () => {
    await create(podWith({ nodeName: "n" }));
    expect((await failureOf(report({ nominatedNodeName: "m" }))).message).toContain(
      "status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node",
    );
  });

  it("keeps generations that a client leaves out, and changes nothing else", async () => {
    await create(podWith());
    const condition = { type: "Ready", status: "True" };
    await report({ observedGeneration: 3, conditions: [{ ...condition, observedGeneration: 3 }] });
    const after = await change("status", (pod) => {
      pod["status"] = { phase: "Running", conditions: [condition] };
      (pod["spec"] as Draft)["nodeName"] = "n";
      (pod["metadata"] as Draft)["ownerReferences"] = [{ apiVersion: "v1", kind: "Pod", name: "o", uid: "u" }];
    });
    expect(after["status"]).toMatchObject({
      phase: "Running",
      qosClass: "BestEffort",
      observedGeneration: 3,
      conditions: [{ ...condition, observedGeneration: 3 }],
    });
    expect(after["spec"]).not.toHaveProperty("nodeName");
    expect(after["metadata"]).not.toHaveProperty("ownerReferences");
  });
});

describe("ephemeral containers", () => {
  const debug = {
    name: "debug",
    image: "i",
    imagePullPolicy: "Always",
    terminationMessagePath: "/dev/termination-log",
  };
  const attach = (...containers: Draft[]): Promise<Draft> =>
    change("ephemeralcontainers", (pod) => void ((pod["spec"] as Draft)["ephemeralContainers"] = containers));

  it("cannot be there from the start", async () => {
    expect((await failureOf(create(podWith({ ephemeralContainers: [debug] })))).message).toContain(
      "spec.ephemeralContainers: Forbidden: cannot be set on create",
    );
  });

  it("are added, and raise the generation, and nothing else changes", async () => {
    await create(podWith({}, { labels: { a: "b" } }));
    const after = await change("ephemeralcontainers", (pod) => {
      const spec = pod["spec"] as Draft;
      spec["ephemeralContainers"] = [debug];
      spec["activeDeadlineSeconds"] = 9;
      (pod["metadata"] as Draft)["labels"] = { c: "d" };
    });
    expect(after["metadata"]).toMatchObject({ generation: 2, labels: { a: "b" } });
    expect(after["spec"]).toMatchObject({ ephemeralContainers: [debug] });
    expect(after["spec"]).not.toHaveProperty("activeDeadlineSeconds");
  });

  it("are neither changed nor taken away", async () => {
    await create(podWith());
    await attach(debug);
    expect((await failureOf(attach())).message).toContain(
      'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed',
    );
    expect((await failureOf(attach({ ...debug, image: "other" }))).message).toContain(
      'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be changed',
    );
    await attach({ ...debug, name: "second" }, debug);
  });

  it.each<[Draft, string]>([
    [{ name: "c" }, 'spec.ephemeralContainers[0].name: Duplicate value: "c"'],
    [{ ports: [{ containerPort: 80, protocol: "TCP" }] }, "ports: Forbidden: cannot be set for an Ephemeral Container"],
    [{ targetContainerName: "x" }, "spec.ephemeralContainers[0].targetContainerName: Not found"],
  ])("follow their rules: %j", async (part, message) => {
    await create(podWith());
    const failure = await failureOf(attach({ ...debug, ...part }));
    expect(failure.code).toBe(422);
    expect(failure.message).toContain(message);
  });

  it("are not for static pods", async () => {
    await create(podWith({ nodeName: "n" }, { annotations: { "kubernetes.io/config.mirror": "x" } }));
    expect((await failureOf(attach(debug))).message).toContain("static pods do not support ephemeral containers");
  });
});

describe("a pod that waits at a gate", () => {
  it("has no node", async () => {
    const gated = podWith({ nodeName: "n", schedulingGates: [{ name: "x" }] });
    expect((await failureOf(create(gated))).message).toContain(
      "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
    );
  });
});
