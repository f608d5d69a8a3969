import type { ApiRequest } from "./api-request.ts";
import { sendNotFoundPage, sendText } from "./responder.ts";

/** Where checks are asked for. */
export type HealthEndpoint = "healthz" | "livez" | "readyz";

/** One thing that must be well. Rejects, or answers a text, when it is not. */
export interface HealthCheck {
  readonly name: string;
  check(): Promise<string | undefined> | string | undefined;
  /** The same with another limit of time: `NAME-readiness`. */
  isReady?(): Promise<string | undefined>;
  /** Asked for by `/readyz` alone. */
  readonly isReadinessOnly?: boolean;
  /** Not asked for by `/livez`: a restart would not help. */
  readonly isNoReasonToRestart?: boolean;
}

/** What upstream's server starts after it listens, and this one has done by the time it is ready; in upstream's order. */
const START_HOOKS = [
  "start-apiserver-admission-initializer",
  "generic-apiserver-start-informers",
  "priority-and-fairness-config-consumer",
  "priority-and-fairness-filter",
  "start-apiextensions-informers",
  "start-apiextensions-controllers",
  "crd-informer-synced",
  "start-system-namespaces-controller",
  "start-cluster-authentication-info-controller",
  "start-service-ip-repair-controllers",
  "rbac/bootstrap-roles",
  "scheduling/bootstrap-system-priority-classes",
  "priority-and-fairness-config-producer",
  "bootstrap-controller",
  "start-kubernetes-service-cidr-controller",
  "start-kube-aggregator-informers",
  "apiservice-status-local-available-controller",
  "apiservice-status-remote-available-controller",
  "apiservice-registration-controller",
  "apiservice-discovery-controller",
  "kube-apiserver-autoregistration",
  "apiservice-openapi-controller",
  "apiservice-openapiv3-controller",
];

/** The checks of a server, in upstream's order. */
export function standardChecks(options: {
  /** `etcd` and what else the store needs. */
  readonly own: readonly HealthCheck[];
  readonly isReady: () => boolean;
  readonly isStopping: () => boolean;
}): readonly HealthCheck[] {
  const { own, isReady, isStopping } = options;
  const started = (): string | undefined => (isReady() ? undefined : "not finished");
  const etcd = own.find(({ name }) => name === "etcd");
  return [
    { name: "ping", check: () => undefined },
    { name: "log", check: () => undefined },
    ...own.flatMap((check) =>
      check === etcd
        ? [etcd, { name: "etcd-readiness", isReadinessOnly: true, check: () => etcd.isReady?.() ?? etcd.check() }]
        : [check],
    ),
    { name: "informer-sync", isReadinessOnly: true, check: started },
    ...START_HOOKS.flatMap((hook) => {
      const check = { name: `poststarthook/${hook}`, check: started };
      return hook === "kube-apiserver-autoregistration"
        ? [check, { name: "autoregister-completion", check: started }]
        : [check];
    }),
    { name: "shutdown", isReadinessOnly: true, check: () => (isStopping() ? "process is shutting down" : undefined) },
  ];
}

/** Whether an endpoint asks for a check. */
export function isAskedFor(check: HealthCheck, endpoint: HealthEndpoint): boolean {
  if (check.isReadinessOnly === true) return endpoint === "readyz";
  return endpoint !== "livez" || check.isNoReasonToRestart !== true;
}

async function resultOf(check: HealthCheck): Promise<string | undefined> {
  try {
    return await check.check();
  } catch (error) {
    return (error as Error).message;
  }
}

const gaugeValue = (failure: string | undefined): number => (failure === undefined ? 1 : 0);

/** `/healthz`, `/livez`, `/readyz`, each with `/NAME` for one check, `?verbose` and `?exclude=NAME`. */
export class HealthRoutes {
  readonly #checks: readonly HealthCheck[];
  /** By check and endpoint: the latest result, and how often there was which. */
  readonly #latest = new Map<string, number>();
  readonly #counts = new Map<string, number>();

  constructor(checks: readonly HealthCheck[]) {
    this.#checks = checks;
  }

  /** Undefined: the path is none of these. */
  serve(request: ApiRequest): Promise<void> | undefined {
    const match = /^\/(healthz|livez|readyz)(?:\/(.+?))?\/?$/.exec(request.info.path);
    return match === null ? undefined : this.#answer(request, match[1] as HealthEndpoint, match[2] ?? "");
  }

  async #ask(check: HealthCheck, endpoint: HealthEndpoint): Promise<string | undefined> {
    const failure = await resultOf(check);
    const labels = `name="${check.name}",type="${endpoint}"`;
    this.#latest.set(labels, gaugeValue(failure));
    const counted = `name="${check.name}",status="${failure === undefined ? "success" : "error"}",type="${endpoint}"`;
    this.#counts.set(counted, (this.#counts.get(counted) ?? 0) + 1);
    return failure;
  }

  async #answer(request: ApiRequest, endpoint: HealthEndpoint, only: string): Promise<void> {
    const wanted = this.#checks.filter((check) => isAskedFor(check, endpoint));
    if (only !== "") {
      const check = wanted.find((one) => one.name === only);
      if (check === undefined) return sendNotFoundPage(request);
      const failure = await this.#ask(check, endpoint);
      return failure === undefined
        ? sendText(request, 200, "ok")
        : sendText(request, 500, `internal server error: ${failure}\n`);
    }
    const excluded = new Set(request.query.getAll("exclude").filter((name) => name !== ""));
    const lines: string[] = [];
    let isWell = true;
    for (const check of wanted) {
      if (excluded.delete(check.name)) {
        lines.push(`[+]${check.name} excluded: ok`);
        continue;
      }
      const failure = await this.#ask(check, endpoint);
      isWell &&= failure === undefined;
      lines.push(failure === undefined ? `[+]${check.name} ok` : `[-]${check.name} failed: reason withheld`);
    }
    if (excluded.size > 0) {
      const names = [...excluded].sort().map((name) => JSON.stringify(name));
      lines.push(`warn: some health checks cannot be excluded: no matches for ${names.join(", ")}`);
    }
    if (!isWell) return sendText(request, 500, `${lines.join("\n")}\n${endpoint} check failed\n`);
    const isVerbose = request.query.has("verbose");
    return sendText(request, 200, isVerbose ? `${lines.join("\n")}\n${endpoint} check passed\n` : "ok");
  }

  /** Results of the checks so far, as `/metrics/slis` has them. */
  async metrics(): Promise<string> {
    for (const check of this.#checks) {
      for (const endpoint of ["healthz", "livez", "readyz"] as const) {
        if (!isAskedFor(check, endpoint) || this.#latest.has(`name="${check.name}",type="${endpoint}"`)) continue;
        await this.#ask(check, endpoint);
      }
    }
    const lines = [
      "# HELP kubernetes_healthcheck [STABLE] This metric records the result of a single healthcheck.",
      "# TYPE kubernetes_healthcheck gauge",
    ];
    for (const labels of [...this.#latest.keys()].sort()) {
      lines.push(`kubernetes_healthcheck{${labels}} ${this.#latest.get(labels)!}`);
    }
    lines.push(
      "# HELP kubernetes_healthchecks_total [STABLE] This metric records the results of all healthcheck.",
      "# TYPE kubernetes_healthchecks_total counter",
    );
    for (const labels of [...this.#counts.keys()].sort()) {
      lines.push(`kubernetes_healthchecks_total{${labels}} ${this.#counts.get(labels)!}`);
    }
    return `${lines.join("\n")}\n`;
  }
}
