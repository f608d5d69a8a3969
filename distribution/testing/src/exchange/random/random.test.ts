import { describe, expect, it } from "vitest";
import { compareHistories, describeDifference } from "./beside-upstream.ts";
import { FAMILIES } from "./families.ts";

const { CORACLE_PEER_KUBE_CONTROLLER_MANAGER: kubeControllerManager = "" } = process.env;

// A check; the proof is `npm run history -- --only exchange --rounds 20`. Needs upstream's controllers.
describe.skipIf(kubeControllerManager === "")("random histories end by our controllers as by upstream's", () => {
  it("of every family", { timeout: 600_000 }, async () => {
    const found: string[] = [];
    await compareHistories({
      kubeControllerManager,
      families: Object.keys(FAMILIES),
      rounds: 1,
      seed: 5,
      steps: 5,
      atOnce: 5,
      found: (difference) => void found.push(describeDifference(difference)),
    });
    expect(found).toEqual([]);
  });
});
