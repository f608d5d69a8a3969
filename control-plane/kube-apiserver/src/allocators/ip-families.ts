import { invalidValue, type Draft, type FieldError } from "@coracle/apimachinery";
import { familyOf, type IpFamily } from "./address-block.ts";
import {
  clusterIpsOf,
  familiesOf,
  isHeadless,
  mayHaveNodePort,
  needsClusterIp,
  selectsNothing,
  typeOf,
} from "./service-fields.ts";

const POLICY = "spec.ipFamilyPolicy";

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((one, i) => one === b[i]);

/**
 * Whether an update leaves alone what a Service that prefers two families has. Then so do we: it neither gains nor
 * loses a family because the cluster did.
 */
export function keepsPreferred(spec: Draft, old: Draft | undefined): boolean {
  if (old === undefined || spec["ipFamilyPolicy"] !== "PreferDualStack") return false;
  if (typeOf(spec) !== typeOf(old) || !(typeOf(spec) === "ClusterIP" || mayHaveNodePort(spec))) return false;
  if (old["ipFamilyPolicy"] !== undefined && old["ipFamilyPolicy"] !== "PreferDualStack") return false;
  return same(clusterIpsOf(spec), clusterIpsOf(old)) && same(familiesOf(spec), familiesOf(old));
}

function defaultPolicy(spec: Draft, old: Draft | undefined): unknown {
  if (old?.["ipFamilyPolicy"] !== undefined) return old["ipFamilyPolicy"];
  return spec["clusterIP"] === "None" && selectsNothing(spec) ? "RequireDualStack" : "SingleStack";
}

/** To ask for one family gives back the other; to leave one out does not. */
function checkRelease(spec: Draft, old: Draft, errors: FieldError[]): void {
  const [ips, oldIps] = [clusterIpsOf(spec), clusterIpsOf(old)];
  const [families, oldFamilies] = [familiesOf(spec), familiesOf(old)];
  const policy = spec["ipFamilyPolicy"];
  if (policy === "SingleStack") {
    if (same(ips, oldIps) && ips.length > 1) spec["clusterIPs"] = ips.slice(0, 1);
    if (same(families, oldFamilies) && families.length > 1) spec["ipFamilies"] = families.slice(0, 1);
    return;
  }
  if (ips.length > 0 && ips.length < oldIps.length)
    errors.push(invalidValue(POLICY, policy, "must be 'SingleStack' to release the secondary cluster IP"));
  if (families.length > 0 && families.length < oldFamilies.length)
    errors.push(invalidValue(POLICY, policy, "must be 'SingleStack' to release the secondary IP family"));
}

function checkSingle(spec: Draft, errors: FieldError[]): void {
  const policy = spec["ipFamilyPolicy"];
  if (policy !== "SingleStack") return;
  const why = (what: string): string =>
    `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`;
  if (clusterIpsOf(spec).length === 2) errors.push(invalidValue(POLICY, policy, why("cluster IPs")));
  if (familiesOf(spec).length === 2) errors.push(invalidValue(POLICY, policy, why("IP families")));
}

/** Families that the addresses asked for tell. */
function inferFamilies(spec: Draft, configured: readonly IpFamily[], errors: FieldError[]): void {
  const families = [...familiesOf(spec)];
  for (const [i, ip] of clusterIpsOf(spec).entries()) {
    if (ip === "None") break;
    const family = familyOf(ip);
    if (i < families.length || family === undefined) continue;
    if (configured.includes(family)) families.push(family);
    else
      errors.push(
        invalidValue(`spec.clusterIPs[${i}]`, spec["clusterIPs"], `${family} is not configured on this cluster`),
      );
  }
  if (families.length > 0) spec["ipFamilies"] = families;
}

/** The first family given, or the cluster's; two of them when the policy wants two and they can be had. */
function fillFamilies(spec: Draft, configured: readonly IpFamily[], both: boolean): void {
  const families = [...familiesOf(spec)];
  if (families.length === 0) families.push(configured[0] ?? "IPv4");
  if (both && families.length === 1 && spec["ipFamilyPolicy"] !== "SingleStack")
    families.push(families[0] === "IPv4" ? "IPv6" : "IPv4");
  spec["ipFamilies"] = families;
}

/**
 * Settles `ipFamilyPolicy` and `ipFamilies` by what was asked for, what the Service had, and which families the
 * cluster is configured for, the primary first. `check`: the rules for these fields by themselves.
 */
export function settleFamilies(
  spec: Draft,
  old: Draft | undefined,
  configured: readonly IpFamily[],
  check: () => readonly FieldError[],
): readonly FieldError[] {
  if (!needsClusterIp(spec) || keepsPreferred(spec, old)) return [];
  spec["ipFamilyPolicy"] ??= defaultPolicy(spec, old) as string;
  const wrong = check();
  if (wrong.length > 0) return wrong;

  const errors: FieldError[] = [];
  if (old !== undefined) checkRelease(spec, old, errors);
  checkSingle(spec, errors);
  inferFamilies(spec, configured, errors);
  if (errors.length > 0) return errors;

  // What has neither address nor selector may be of families that the cluster does not have.
  if (isHeadless(spec) && selectsNothing(spec)) {
    fillFamilies(spec, configured, true);
    return [];
  }
  if (spec["ipFamilyPolicy"] === "RequireDualStack" && configured.length < 2)
    errors.push(invalidValue(POLICY, spec["ipFamilyPolicy"], "this cluster is not configured for dual-stack services"));
  for (const [i, family] of familiesOf(spec).entries()) {
    if (!configured.includes(family as IpFamily))
      errors.push(invalidValue(`spec.ipFamilies[${i}]`, family, "not configured on this cluster"));
  }
  if (errors.length > 0) return errors;
  fillFamilies(spec, configured, configured.length === 2);
  return [];
}
