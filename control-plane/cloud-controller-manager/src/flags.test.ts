import { describe, expect, it } from "vitest";
import { isSelected } from "@coracle/controller-kit";
import { controllers } from "./controllers.ts";
import { parseCloudControllerManagerFlags } from "./flags.ts";

/** Of upstream's cloud-controller-manager 1.35 with a provider that has no flags of its own. */
const UPSTREAMS = `
  allocate-node-cidrs allow-untagged-cloud authentication-kubeconfig authentication-skip-lookup
  authentication-token-webhook-cache-ttl authentication-tolerate-lookup-failure
  authorization-always-allow-paths authorization-kubeconfig authorization-webhook-cache-authorized-ttl
  authorization-webhook-cache-unauthorized-ttl bind-address cert-dir cidr-allocator-type
  client-ca-file cloud-config cloud-provider cluster-cidr cluster-name concurrent-node-syncs
  concurrent-service-syncs configure-cloud-routes contention-profiling controller-start-interval
  controllers disable-http2-serving enable-leader-migration external-cloud-volume-plugin feature-gates
  http2-max-streams-per-connection kube-api-burst kube-api-content-type kube-api-qps kubeconfig
  leader-elect leader-elect-lease-duration leader-elect-renew-deadline leader-elect-resource-lock
  leader-elect-resource-name leader-elect-resource-namespace leader-elect-retry-period
  leader-migration-config log-flush-frequency log-text-info-buffer-size log-text-split-stream
  logging-format master min-resync-period node-monitor-period node-status-update-frequency
  permit-address-sharing permit-port-sharing profiling requestheader-allowed-names
  requestheader-client-ca-file requestheader-extra-headers-prefix requestheader-group-headers
  requestheader-uid-headers requestheader-username-headers route-reconciliation-period secure-port
  tls-cert-file tls-cipher-suites tls-min-version tls-private-key-file tls-sni-cert-key
  use-service-account-credentials v version vmodule webhook-bind-address webhook-cert-dir
  webhook-secure-port webhook-tls-cert-file webhook-tls-private-key-file webhooks
`
  .trim()
  .split(/\s+/);

describe("the command line", () => {
  it("must name a provider", () => {
    expect(() => parseCloudControllerManagerFlags([])).toThrow("--cloud-provider cannot be empty");
  });
  it("refuses controllers that nobody knows", () => {
    expect(() => parseCloudControllerManagerFlags(["--cloud-provider=local", "--controllers=*,-nonsense"])).toThrow(
      '"nonsense" is not in the list of known controllers',
    );
  });
  it.each([
    ["--webhooks=*", "--webhooks is not supported: a provider has no webhooks here"],
    [
      "--feature-gates=CloudControllerManagerWebhook=true",
      "feature gate CloudControllerManagerWebhook is not supported",
    ],
    ["--feature-gates=Nope=true", "unrecognized feature gate: Nope"],
    ["--leader-elect-resource-lock=endpoints", "invalid argument"],
    ["--concurrent-node-syncs=0", "concurrent-node-syncs must be a positive number"],
    ["--master=https://x", "--master is not supported"],
  ])("%s is refused", (arg, why) => {
    expect(() => parseCloudControllerManagerFlags(["--cloud-provider=local", arg])).toThrow(why);
  });
  it("knows every flag that upstream's knows", () => {
    let help = "";
    try {
      parseCloudControllerManagerFlags(["--help"]);
    } catch (error) {
      help = (error as Error).message;
    }
    expect(UPSTREAMS.filter((name) => !help.includes(`--${name}\n`))).toEqual([]);
  });
  it("has upstream's defaults", () => {
    expect(parseCloudControllerManagerFlags(["--cloud-provider=local"])).toMatchObject({
      configureCloudRoutes: true,
      routeReconciliationPeriodMs: 10_000,
      nodeMonitorPeriodMs: 5000,
      nodeStatusUpdateFrequencyMs: 300_000,
      concurrentServiceSyncs: 1,
      securePort: 10_258,
      leaderElectResourceName: "cloud-controller-manager",
    });
  });
  it("selects controllers by their names, and by the former ones", () => {
    const chosen = (selection: string) => {
      const flags = parseCloudControllerManagerFlags(["--cloud-provider=local", `--controllers=${selection}`]);
      return controllers.filter(({ name }) => isSelected(name, flags.controllers)).map(({ name }) => name);
    };
    expect(chosen("*,-route")).toEqual([
      "cloud-node-controller",
      "cloud-node-lifecycle-controller",
      "service-lb-controller",
    ]);
    expect(chosen("service")).toEqual(["service-lb-controller"]);
    expect(chosen("*,-service-lb-controller,-cloud-node")).toEqual([
      "cloud-node-lifecycle-controller",
      "node-route-controller",
    ]);
  });
});
