import type { ApiRequest } from "./api-request.ts";
import { sendNotFoundPage, sendText } from "./responder.ts";

/** One thing that must be well. Rejects, or answers a text, when it is not. */
export interface HealthCheck {
  readonly name: string;
  check(): Promise<string | undefined> | string | undefined;
  /** Not asked for by `/livez`. */
  readonly isReadinessOnly?: boolean;
}

/** `/healthz`, `/livez`, `/readyz`, each with `/NAME` for one check, `?verbose` and `?exclude=NAME`. */
export function createHealthRoutes(checks: readonly HealthCheck[]): (request: ApiRequest) => Promise<void> | undefined {
  async function resultOf(check: HealthCheck): Promise<string | undefined> {
    try {
      return await check.check();
    } catch (error) {
      return (error as Error).message;
    }
  }

  async function serve(request: ApiRequest, endpoint: string, only: string): Promise<void> {
    const wanted = checks.filter((check) => endpoint !== "livez" || check.isReadinessOnly !== true);
    if (only !== "") {
      const check = wanted.find((one) => one.name === only);
      if (check === undefined) return sendNotFoundPage(request);
      const failure = await resultOf(check);
      return failure === undefined
        ? sendText(request, 200, "ok")
        : sendText(request, 500, `internal server error: ${failure}\n`);
    }
    const excluded = new Set(request.query.getAll("exclude"));
    const lines: string[] = [];
    let isWell = true;
    for (const check of wanted) {
      if (excluded.has(check.name)) {
        lines.push(`[+]${check.name} excluded: ok`);
        continue;
      }
      const failure = await resultOf(check);
      if (failure === undefined) lines.push(`[+]${check.name} ok`);
      else {
        isWell = false;
        lines.push(`[-]${check.name} failed: reason withheld`);
      }
    }
    if (!isWell) return sendText(request, 500, `${lines.join("\n")}\n${endpoint} check failed\n`);
    const isVerbose = request.query.has("verbose");
    return sendText(request, 200, isVerbose ? `${lines.join("\n")}\n${endpoint} check passed\n` : "ok");
  }

  return (request) => {
    const match = /^\/(healthz|livez|readyz)(?:\/(.+))?$/.exec(request.info.path);
    return match === null ? undefined : serve(request, match[1]!, match[2] ?? "");
  };
}
