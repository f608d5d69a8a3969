import type { Service } from "@coracle/api/core/v1";
import type { AdmissionPlugin } from "./plugin.ts";
import { refusalOf } from "./refusal.ts";

const addressesOf = (object: unknown): readonly string[] => (object as Service | undefined)?.spec?.externalIPs ?? [];

/** No service takes external addresses; those it has it may keep. */
export const denyServiceExternalIps: AdmissionPlugin = {
  name: "DenyServiceExternalIPs",
  scope: { operations: ["CREATE", "UPDATE"], resources: ["/services"] },
  validate(attributes) {
    const known = addressesOf(attributes.oldObject);
    if (addressesOf(attributes.object).every((address) => known.includes(address))) return;
    throw refusalOf(attributes, "Use of external IPs is denied by admission control");
  },
};
