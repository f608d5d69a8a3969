import type { HostAlias, PodSpec } from "@coracle/api/core/v1";
import { invalidValue, parseLegacyIp, required, type FieldError } from "@coracle/apimachinery";
import { text, type Decoded } from "./decoded.ts";
import { pushInvalid, requiredOneOf } from "./field-values.ts";
import { dns1123Subdomain, dns1123SubdomainWithUnderscore } from "./names.ts";

/** An IP address in textual form, as old fields take it. */
export function validateIp(errors: FieldError[], path: string, value: string): void {
  if (parseLegacyIp(value) === undefined)
    errors.push(invalidValue(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
}

const DNS_POLICIES = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

/** `spec.dnsPolicy`. */
export function validateDnsPolicy(errors: FieldError[], path: string, policy: string | undefined): void {
  requiredOneOf(errors, path, policy, DNS_POLICIES);
}

/** `spec.dnsConfig`. */
export function validateDnsConfig(errors: FieldError[], at: string, spec: Decoded<PodSpec>): void {
  const config = spec.dnsConfig;
  if (spec.dnsPolicy === "None") {
    if (config === undefined) {
      errors.push(required(at, "must provide `dnsConfig` when `dnsPolicy` is None"));
      return;
    }
    if ((config.nameservers?.length ?? 0) === 0)
      errors.push(required(`${at}.nameservers`, "must provide at least one DNS nameserver when `dnsPolicy` is None"));
  }
  if (config === undefined) return;
  const nameservers = config.nameservers ?? [];
  if (nameservers.length > 3)
    errors.push(invalidValue(`${at}.nameservers`, nameservers, "must not have more than 3 nameservers"));
  nameservers.forEach((server, i) => validateIp(errors, `${at}.nameservers[${i}]`, server));
  const searches = config.searches ?? [];
  if (searches.length > 32)
    errors.push(invalidValue(`${at}.searches`, searches, "must not have more than 32 search paths"));
  if (searches.join(" ").length > 2048)
    errors.push(
      invalidValue(
        `${at}.searches`,
        searches,
        "must not have more than 2048 characters (including spaces) in the search list",
      ),
    );
  searches.forEach((search, i) => {
    if (search === ".") return;
    const name = search.endsWith(".") ? search.slice(0, -1) : search;
    pushInvalid(errors, `${at}.searches[${i}]`, search, dns1123SubdomainWithUnderscore(name));
  });
  config.options?.forEach((option, i) => {
    if (text(option.name) === "") errors.push(required(`${at}.options[${i}]`, "must not be empty"));
  });
}

/** `spec.hostAliases`. */
export function validateHostAliases(
  errors: FieldError[],
  path: string,
  aliases: readonly Decoded<HostAlias>[] | undefined,
): void {
  aliases?.forEach((alias, i) => {
    validateIp(errors, `${path}[${i}].ip`, text(alias.ip));
    alias.hostnames?.forEach((name, j) =>
      pushInvalid(errors, `${path}[${i}].hostnames[${j}]`, name, dns1123Subdomain(name)),
    );
  });
}
