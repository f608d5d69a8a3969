import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ApiextensionsV1Api, CoreV1Api, CustomObjectsApi } from "@kubernetes/client-node";
import { startEnvironment } from "./environment.mjs";
import { startOperator } from "./operator.mjs";

const place = { group: "harbour.example.com", version: "v1", namespace: "default", plural: "boats" };
const definition = {
  metadata: { name: "boats.harbour.example.com" },
  spec: {
    group: "harbour.example.com",
    scope: "Namespaced",
    names: { plural: "boats", singular: "boat", kind: "Boat", listKind: "BoatList" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: { spec: { type: "object", properties: { oars: { type: "integer", minimum: 1 } } } },
          },
        },
      },
    ],
  },
};
const boat = (name, oars) => ({
  apiVersion: "harbour.example.com/v1",
  kind: "Boat",
  metadata: { name },
  spec: { oars },
});

let environment;
let operator;
let core;
let boats;

async function eventually(attempt) {
  for (let turn = 0; ; turn++) {
    try {
      return await attempt();
    } catch (error) {
      if (turn === 200) throw error;
      await sleep(50);
    }
  }
}

before(async () => {
  environment = await startEnvironment();
  core = environment.config.makeApiClient(CoreV1Api);
  boats = environment.config.makeApiClient(CustomObjectsApi);
  await environment.config.makeApiClient(ApiextensionsV1Api).createCustomResourceDefinition({ body: definition });
  await eventually(() => boats.listNamespacedCustomObject(place));
  operator = await startOperator(environment.config);
});
after(async () => {
  await operator?.stop();
  await environment?.stop();
});

void test("a boat gets its config map", async () => {
  await boats.createNamespacedCustomObject({ ...place, body: boat("coracle", 1) });
  const log = await eventually(() => core.readNamespacedConfigMap({ name: "coracle", namespace: "default" }));
  assert.deepEqual(log.data, { oars: "1" });
  assert.equal(log.metadata.ownerReferences[0].kind, "Boat");
});

void test("the config map follows the boat", async () => {
  const found = await boats.getNamespacedCustomObject({ ...place, name: "coracle" });
  await boats.replaceNamespacedCustomObject({ ...place, name: "coracle", body: { ...found, spec: { oars: 2 } } });
  await eventually(async () => {
    const log = await core.readNamespacedConfigMap({ name: "coracle", namespace: "default" });
    assert.deepEqual(log.data, { oars: "2" });
  });
});

void test("a boat without oars is refused", async () => {
  await assert.rejects(boats.createNamespacedCustomObject({ ...place, body: boat("sunk", 0) }), { code: 422 });
});
