import type { ServiceSpec } from "@coracle/api/core/v1";
import {
  duplicate,
  forbiddenField,
  invalidValue,
  notSupported,
  parseLegacyIp,
  required,
  type FieldError,
} from "@coracle/apimachinery";
import { text, type Decoded } from "../validation/decoded.ts";

type Spec = Decoded<ServiceSpec>;

const CLUSTER_IPS = "spec.clusterIPs";
const ONCE = "may not change once set";

/** Whether a Service says that it has no address. */
export const isHeadlessSpec = (spec: Spec): boolean => spec.clusterIPs?.length === 1 && spec.clusterIPs[0] === "None";

function validateIps(errors: FieldError[], spec: Spec, before: readonly string[]): boolean {
  const ips = spec.clusterIPs ?? [];
  let isGood = true;
  for (const [i, ip] of ips.entries()) {
    if (i === 0 && ip === "None") {
      if (ips.length === 1) continue;
      errors.push(invalidValue(CLUSTER_IPS, ips, "'None' must be the first and only value"));
    } else if (parseLegacyIp(ip) !== undefined || before.includes(ip)) continue;
    else
      errors.push(
        invalidValue(`${CLUSTER_IPS}[${i}]`, ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
      );
    isGood = false;
  }
  if (ips.length > 2) errors.push(invalidValue(CLUSTER_IPS, ips, "may only hold up to 2 values"));
  return isGood;
}

/** Rules of `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy` for each other. */
export function checkClusterIpFields(spec: Spec, old: Spec | undefined): FieldError[] {
  const errors: FieldError[] = [];
  if (spec.type === "ExternalName") return errors;
  const ips = spec.clusterIPs ?? [];
  const families = spec.ipFamilies ?? [];
  if (text(spec.clusterIP) !== "") {
    if (ips.length === 0) errors.push(required(CLUSTER_IPS));
    else if (ips[0] !== spec.clusterIP)
      errors.push(invalidValue(CLUSTER_IPS, ips, "first value must match `clusterIP`"));
  } else if (ips.length > 0)
    errors.push(invalidValue(CLUSTER_IPS, ips, "must be empty when `clusterIP` is not specified"));

  for (const [i, family] of families.entries()) {
    const path = `spec.ipFamilies[${i}]`;
    if (family !== "IPv4" && family !== "IPv6") errors.push(notSupported(path, family, ["IPv4", "IPv6"]));
    if (families.indexOf(family) < i) errors.push(duplicate(path, family));
  }
  const policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
  if (spec.ipFamilyPolicy !== undefined && !policies.includes(spec.ipFamilyPolicy))
    errors.push(notSupported("spec.ipFamilyPolicy", spec.ipFamilyPolicy, policies));

  if (!validateIps(errors, spec, old?.clusterIPs ?? [])) return errors;
  const kinds = ips.map((ip) => parseLegacyIp(ip)?.family);
  if (ips.length > 1 && !(kinds.includes(4) && kinds.includes(6)))
    errors.push(invalidValue(CLUSTER_IPS, ips, "may specify no more than one IP for each IP family"));
  if (isHeadlessSpec(spec)) return errors;
  for (const [i, ip] of ips.entries()) {
    const family = families[i];
    if ((family === "IPv4" && kinds[i] === 6) || (family === "IPv6" && kinds[i] !== 6))
      errors.push(
        invalidValue(`${CLUSTER_IPS}[${i}]`, ip, `expected an ${family} value as indicated by \`ipFamilies[${i}]\``),
      );
  }
  return errors;
}

/** A second address or family may come and go; the first is for good, unless the Service had none. */
export function checkClusterIpChange(spec: Spec, old: Spec): FieldError[] {
  const errors: FieldError[] = [];
  if (spec.type === "ExternalName" || old.type === "ExternalName") return errors;
  if (!(isHeadlessSpec(spec) && isHeadlessSpec(old))) checkIpChange(errors, spec, old);
  if (!isHeadlessSpec(spec) && !isHeadlessSpec(old)) checkFamilyChange(errors, spec, old);
  return errors;
}

function checkIpChange(errors: FieldError[], spec: Spec, old: Spec): void {
  const ips = spec.clusterIPs ?? [];
  const before = old.clusterIPs ?? [];
  if (ips.length === before.length) {
    for (const [i, ip] of before.entries())
      if (ip !== ips[i]) errors.push(invalidValue(`${CLUSTER_IPS}[${i}]`, ips, ONCE));
    return;
  }
  const isLess = ips.length < before.length;
  if (isLess && ips.length === 0)
    errors.push(invalidValue(`${CLUSTER_IPS}[0]`, ips, "primary clusterIP can not be unset"));
  if (before.length > 0 && ips.length > 0 && ips[0] !== before[0])
    errors.push(invalidValue(`${CLUSTER_IPS}[0]`, ips, ONCE));
  if (isLess && ips.length === 1 && spec.ipFamilyPolicy !== "SingleStack")
    errors.push(
      invalidValue(
        "spec.ipFamilyPolicy",
        spec.ipFamilyPolicy,
        "must be set to 'SingleStack' when releasing the secondary clusterIP",
      ),
    );
}

function checkFamilyChange(errors: FieldError[], spec: Spec, old: Spec): void {
  const families = spec.ipFamilies ?? [];
  const before = old.ipFamilies ?? [];
  const path = "spec.ipFamilies[0]";
  if (families.length === before.length) {
    for (const [i, family] of before.entries())
      if (family !== families[i]) errors.push(invalidValue(path, families, ONCE));
    return;
  }
  const isLess = families.length < before.length;
  if (isLess && (spec.clusterIPs ?? []).length === 0)
    errors.push(invalidValue(path, families, "primary ipFamily can not be unset"));
  if (before.length > 0 && families.length > 0 && families[0] !== before[0])
    errors.push(invalidValue(path, spec.clusterIPs, ONCE));
  if (isLess && families.length === 1 && spec.ipFamilyPolicy !== "SingleStack")
    errors.push(
      invalidValue(
        "spec.ipFamilyPolicy",
        spec.ipFamilyPolicy,
        "must be set to 'SingleStack' when releasing the secondary ipFamily",
      ),
    );
}

/** An external name has neither addresses nor families; what has node ports has an address. */
export function checkClusterIpType(spec: Spec): FieldError[] {
  const errors: FieldError[] = [];
  if ((spec.type === "NodePort" || spec.type === "LoadBalancer") && isHeadlessSpec(spec))
    errors.push(invalidValue(`${CLUSTER_IPS}[0]`, "None", `may not be set to 'None' for ${spec.type} services`));
  if (spec.type !== "ExternalName") return errors;
  const why = "may not be set for ExternalName services";
  if ((spec.clusterIPs ?? []).length > 0) errors.push(forbiddenField(CLUSTER_IPS, why));
  if ((spec.ipFamilies ?? []).length > 0) errors.push(forbiddenField("spec.ipFamilies", why));
  if (spec.ipFamilyPolicy !== undefined) errors.push(forbiddenField("spec.ipFamilyPolicy", why));
  return errors;
}
