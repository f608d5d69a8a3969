import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@coracle/base";
import { afterAll, beforeAll } from "vitest";
import { storeContract, withFakeClock } from "../contract/store-contract.ts";
import { openEmbeddedStore } from "./embedded-store.ts";

let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "store-test-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

storeContract("embedded", () =>
  withFakeClock((clock) => openEmbeddedStore({ dataDir: join(root, String(count++)), clock, logger: silentLogger })),
);
