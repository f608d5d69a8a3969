import { UsageError } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { parseControllerManagerFlags } from "../flags.ts";
import { isEnabled, readSelection } from "./controller-names.ts";
import { isGateOn } from "./gates.ts";
import { controllers } from "./registry.ts";

describe("--controllers", () => {
  it.each([
    [["*"], "job-controller", true],
    [["*"], "token-cleaner-controller", false],
    [["*", "tokencleaner"], "token-cleaner-controller", true],
    [["*", "-job"], "job-controller", false],
    [["-job-controller", "*"], "job-controller", false],
    [["job-controller", "-job-controller"], "job-controller", true],
    [["ttl"], "job-controller", false],
    [[], "job-controller", false],
  ])("%j: %s runs: %s", (selection, name, runs) => {
    expect(isEnabled(name, readSelection(selection))).toBe(runs);
  });
  it("refuses names that nobody knows", () => {
    expect(() => parseControllerManagerFlags(["--controllers=*,-nope"])).toThrow(
      new UsageError('"nope" is not in the list of known controllers'),
    );
  });
  it("knows every controller that is here", () => {
    expect(readSelection(controllers.map(({ name }) => name))).toEqual(controllers.map(({ name }) => name));
  });
});

describe("the other flags", () => {
  it.each([
    ["--master=https://x", "--master is not supported: the kubeconfig names the server"],
    ["--feature-gates=Nope=true", "unrecognized feature gate: Nope"],
    [
      "--legacy-service-account-token-clean-up-period=0",
      "--legacy-service-account-token-clean-up-period must be greater than 0",
    ],
    ["--cluster-signing-key-file=k", "cannot specify key without cert"],
    ["--cluster-signing-kubelet-client-cert-file=c", "cannot specify cert without key"],
    ["--cidr-allocator-type=CloudAllocator", 'invalid argument "CloudAllocator" for "--cidr-allocator-type" flag'],
  ])("%s is refused", (arg, message) => {
    expect(() => parseControllerManagerFlags([arg])).toThrow(new UsageError(message));
  });
  it("a pair for all signers and one for some do not go together", () => {
    const pair = (name: string) => [`--cluster-signing-${name}cert-file=c`, `--cluster-signing-${name}key-file=k`];
    expect(() => parseControllerManagerFlags([...pair(""), ...pair("legacy-unknown-")])).toThrow("at the same time");
    expect(parseControllerManagerFlags(pair("legacy-unknown-")).legacyUnknownKeyFile).toBe("k");
  });
  it("gates are as upstream has them unless told otherwise, one by one or a stage at a time", () => {
    expect(isGateOn("HPAConfigurableTolerance", [])).toBe(true);
    expect(isGateOn("HPAConfigurableTolerance", ["AllBeta=false"])).toBe(false);
    expect(isGateOn("StorageVersionAPI", ["AllAlpha=true"])).toBe(true);
    expect(isGateOn("StorageVersionAPI", ["AllAlpha=true", "StorageVersionAPI=false"])).toBe(false);
  });
});
