import { KUBERNETES_VERSION } from "@coracle/api";
import type { AdmissionAttributes } from "../../registry/registry.ts";
import type { LevelVersion } from "./policy.ts";

type Request = Pick<AdmissionAttributes, "group" | "resource" | "subresource" | "operation">;

const OWN_MINOR = Number(/^v?\d+\.(\d+)/.exec(KUBERNETES_VERSION)?.[1] ?? 0);

function resourceLabel({ group, resource }: Request): string {
  if (group !== "") return "controller";
  return resource === "pods" ? "pod" : resource === "namespaces" ? "namespace" : "controller";
}

const requestLabels = (request: Request): string =>
  `request_operation="${request.operation.toLowerCase()}",resource="${resourceLabel(request)}",subresource="${request.subresource}"`;

function versionLabel({ level, minor }: LevelVersion): string {
  if (minor === undefined || level === "privileged") return "latest";
  return minor > OWN_MINOR ? "future" : `v1.${minor}`;
}

/** Counts what the plugin decides, under upstream's names. */
export class PodSecurityMetrics {
  readonly #evaluations = new Map<string, number>();
  readonly #exemptions = new Map<string, number>();
  readonly #errors = new Map<string, number>();

  countEvaluation(decision: "allow" | "deny", policy: LevelVersion, mode: string, request: Request): void {
    raise(
      this.#evaluations,
      `decision="${decision}",mode="${mode}",policy_level="${policy.level}",policy_version="${versionLabel(policy)}",${requestLabels(request)}`,
    );
  }

  countExemption(request: Request): void {
    raise(this.#exemptions, requestLabels(request));
  }

  countError(isFatal: boolean, request: Request): void {
    raise(this.#errors, `fatal="${isFatal}",${requestLabels(request)}`);
  }

  /** The Prometheus text format. */
  render(): string {
    const families = [
      ["pod_security_evaluations_total", this.#evaluations],
      ["pod_security_exemptions_total", this.#exemptions],
      ["pod_security_errors_total", this.#errors],
    ] as const;
    return families
      .flatMap(([name, counts]) => [
        `# TYPE ${name} counter`,
        ...[...counts].map(([labels, count]) => `${name}{${labels}} ${count}`),
      ])
      .join("\n");
  }
}

function raise(counts: Map<string, number>, labels: string): void {
  counts.set(labels, (counts.get(labels) ?? 0) + 1);
}
