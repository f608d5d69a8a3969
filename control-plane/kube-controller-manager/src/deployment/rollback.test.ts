import type { Deployment, ReplicaSet } from "@coracle/api/apps/v1";
import { describe, expect, it } from "vitest";
import { planRollback, rollbackTarget } from "./rollback.ts";

const ROLLBACK_TO = "deprecated.deployment.rollback.to";
const template = (image: string, hash?: string) => ({
  metadata: { labels: { app: "web", ...(hash === undefined ? {} : { "pod-template-hash": hash }) } },
  spec: { containers: [{ name: "c", image }] },
});
const deployment = (image: string, to: string): Deployment => ({
  metadata: { name: "web", annotations: { [ROLLBACK_TO]: to, note: "new", "deployment.kubernetes.io/revision": "3" } },
  spec: { selector: {}, template: template(image) },
});
const set = (revision: number): ReplicaSet => ({
  metadata: { annotations: { "deployment.kubernetes.io/revision": String(revision), note: `of ${revision}` } },
  spec: { selector: {}, template: template(`web:${revision}`, `h${revision}`) },
});
const sets = [set(1), set(3), set(2)];
const roll = (to: string, image = "web:3") => planRollback(deployment(image, to), sets, BigInt(to));

describe("a rollback by annotation", () => {
  it("is asked for by a number", () => {
    expect(rollbackTarget(deployment("x", "2"))).toBe(2n);
    expect(rollbackTarget(deployment("x", "two"))).toBeUndefined();
  });
  it.each([
    ["goes to the revision", "1", "web:1"],
    ["goes to the one before with 0", "0", "web:2"],
  ])("%s, with its annotations and without the hash", (_, to, image) => {
    const { deployment: rolled, message } = roll(to);
    expect(rolled.spec.template).toEqual(template(image));
    const revision = image.slice(-1);
    expect(rolled.metadata.annotations).toEqual({ note: `of ${revision}`, "deployment.kubernetes.io/revision": "3" });
    expect(message).toBe(`Rolled back deployment "web" to revision ${revision}`);
  });
  it.each([
    ["an unknown revision", "9", "web:3", "DeploymentRollbackRevisionNotFound"],
    ["the template it has", "3", "web:3", "DeploymentRollbackTemplateUnchanged"],
  ])("%s is told, and the wish is done with", (_, to, image, reason) => {
    const plan = roll(to, image);
    expect(plan.reason).toBe(reason);
    expect(plan.deployment.metadata.annotations).toEqual({ note: "new", "deployment.kubernetes.io/revision": "3" });
    expect(plan.deployment.spec.template).toEqual(template("web:3"));
  });
});
