import type { AdmissionPlugin } from "./plugin.ts";
import { refusalOf } from "./refusal.ts";

const ALL = ["CREATE", "UPDATE", "DELETE", "CONNECT"] as const;

/** Has nothing against anything. */
export const alwaysAdmit: AdmissionPlugin = { name: "AlwaysAdmit", scope: { operations: ALL } };

/** Lets nothing through. */
export const alwaysDeny: AdmissionPlugin = {
  name: "AlwaysDeny",
  scope: { operations: ALL },
  admit(attributes) {
    throw refusalOf(attributes, "admission control is denying all modifications");
  },
  validate(attributes) {
    throw refusalOf(attributes, "admission control is denying all modifications");
  },
};
