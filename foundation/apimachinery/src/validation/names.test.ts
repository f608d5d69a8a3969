import { describe, expect, it } from "vitest";
import { formatIp, isCidr, isIpAddress, parseCidr, parseIp } from "./addresses.ts";
import {
  isConfigMapKey,
  isDns1035Label,
  isDns1123Label,
  isDns1123Subdomain,
  isLabelValue,
  isPathSegmentName,
  isPortName,
  isQualifiedName,
  isRelaxedEnvVarName,
  nameIsDns1123Subdomain,
} from "./names.ts";

describe("names", () => {
  it.each([
    [isDns1123Label, "a-1", true],
    [isDns1123Label, "a.b", false],
    [isDns1123Label, "x".repeat(64), false],
    [isDns1123Subdomain, "a.b-c.d", true],
    [isDns1123Subdomain, "A", false],
    [isDns1123Subdomain, "a..b", false],
    [isDns1035Label, "1a", false],
    [isDns1035Label, "a1", true],
    [isQualifiedName, "app", true],
    [isQualifiedName, "example.com/App_1", true],
    [isQualifiedName, "/a", false],
    [isQualifiedName, "a/b/c", false],
    [isLabelValue, "", true],
    [isLabelValue, "a b", false],
    [isPortName, "http", true],
    [isPortName, "80", false],
    [isConfigMapKey, "..a", false],
    [isConfigMapKey, "a.b", true],
    [isRelaxedEnvVarName, "a b", true],
    [isRelaxedEnvVarName, "a=b", false],
    [isPathSegmentName, "system:admin", true],
    [isPathSegmentName, "..", false],
    [isIpAddress, "010.1.1.1", false],
    [isIpAddress, "fe80::1%eth0", false],
    [isCidr, "10.0.0.0/33", false],
    [isCidr, "fd00::/64", true],
  ] as const)("%o %s: %s", (rule, text, isGood) => {
    expect(rule(text).length === 0).toBe(isGood);
  });

  it("says what the API says", () => {
    expect(isDns1123Subdomain("A")).toEqual([
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    ]);
    expect(isDns1035Label("")).toEqual([
      "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    ]);
  });

  it("a generateName may end with a dash", () => {
    expect(nameIsDns1123Subdomain("web-", true)).toEqual([]);
    expect(nameIsDns1123Subdomain("web-", false)).toHaveLength(1);
  });

  it.each([
    ["::1", "::1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["10.0.0.1", "10.0.0.1"],
    ["::", "::"],
  ])("the address %s is written %s", (text, canonical) => {
    const ip = parseIp(text);
    expect(ip && formatIp(ip.family, ip.value)).toBe(canonical);
  });

  it("a block keeps its network", () => {
    expect(parseCidr("10.1.2.3/16")).toEqual({ family: 4, address: 167838211n, network: 167837696n, prefixLength: 16 });
  });
});
