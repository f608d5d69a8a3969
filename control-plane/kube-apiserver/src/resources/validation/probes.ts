import type { HTTPGetAction, Lifecycle, LifecycleHandler, Probe } from "@coracle/api/core/v1";
import { forbiddenField, invalidValue, notSupported, required, type FieldError } from "@coracle/apimachinery";
import { text, type Decoded } from "./decoded.ts";
import { nonNegative, oneOf, portNumberOrName, pushInvalid } from "./field-values.ts";
import { httpHeaderName, portNumber } from "./names.ts";

interface Handler {
  readonly exec?: Decoded<LifecycleHandler>["exec"];
  readonly httpGet?: Decoded<LifecycleHandler>["httpGet"];
  readonly tcpSocket?: Decoded<LifecycleHandler>["tcpSocket"];
  readonly grpc?: Decoded<Probe>["grpc"];
  readonly sleep?: Decoded<LifecycleHandler>["sleep"];
}

function validateHttpGet(errors: FieldError[], path: string, action: Decoded<HTTPGetAction>): void {
  if (text(action.path) === "") errors.push(required(`${path}.path`));
  portNumberOrName(errors, `${path}.port`, action.port);
  oneOf(errors, `${path}.scheme`, action.scheme, ["HTTP", "HTTPS"]);
  action.httpHeaders?.forEach((header) => {
    pushInvalid(errors, `${path}.httpHeaders`, text(header.name), httpHeaderName(text(header.name)));
  });
}

function validateHandler(errors: FieldError[], path: string, handler: Handler, gracePeriodSeconds: number): void {
  let count = 0;
  const only = (name: string): boolean => {
    count++;
    if (count > 1) errors.push(forbiddenField(`${path}.${name}`, "may not specify more than 1 handler type"));
    return count === 1;
  };
  if (handler.exec !== undefined && only("exec") && (handler.exec.command?.length ?? 0) === 0)
    errors.push(required(`${path}.exec.command`));
  if (handler.httpGet !== undefined && only("httpGet")) validateHttpGet(errors, `${path}.httpGet`, handler.httpGet);
  if (handler.tcpSocket !== undefined && only("tcpSocket"))
    portNumberOrName(errors, `${path}.tcpSocket.port`, handler.tcpSocket.port);
  if (handler.grpc !== undefined && only("grpc")) {
    const port = handler.grpc.port ?? 0;
    pushInvalid(errors, `${path}.grpc.port`, port, portNumber(port));
  }
  if (handler.sleep !== undefined && only("sleep")) {
    const seconds = handler.sleep.seconds ?? 0;
    if (seconds < 0 || seconds > gracePeriodSeconds)
      errors.push(
        invalidValue(
          `${path}.sleep`,
          seconds,
          `must be non-negative and less than terminationGracePeriodSeconds (${gracePeriodSeconds})`,
        ),
      );
  }
  if (count === 0) errors.push(required(path, "must specify a handler type"));
}

const SIGNALS = /^SIG(?:[A-Z0-9]+|RTM(?:IN\+\d+|AX-\d+))$/;

/** postStart, preStop, stopSignal. */
export function validateLifecycle(
  errors: FieldError[],
  path: string,
  lifecycle: Decoded<Lifecycle> | undefined,
  gracePeriodSeconds: number,
  osName: string,
): void {
  if (lifecycle === undefined) return;
  if (lifecycle.postStart !== undefined)
    validateHandler(errors, `${path}.postStart`, lifecycle.postStart, gracePeriodSeconds);
  if (lifecycle.preStop !== undefined)
    validateHandler(errors, `${path}.preStop`, lifecycle.preStop, gracePeriodSeconds);
  if (lifecycle.stopSignal !== undefined) {
    if (osName === "")
      errors.push(forbiddenField(`${path}.stopSignal`, "may not be set for containers with empty `spec.os.name`"));
    else if (!SIGNALS.test(lifecycle.stopSignal))
      errors.push(notSupported(`${path}.stopSignal`, lifecycle.stopSignal, []));
  }
}

/** One probe; `kind` because only readiness may need several successes and only it has no grace of its own. */
export function validateProbe(
  errors: FieldError[],
  path: string,
  probe: Decoded<Probe> | undefined,
  kind: "liveness" | "readiness" | "startup",
  gracePeriodSeconds: number,
): void {
  if (probe === undefined) return;
  validateHandler(errors, path, probe, gracePeriodSeconds);
  nonNegative(errors, `${path}.initialDelaySeconds`, probe.initialDelaySeconds);
  nonNegative(errors, `${path}.timeoutSeconds`, probe.timeoutSeconds);
  nonNegative(errors, `${path}.periodSeconds`, probe.periodSeconds);
  nonNegative(errors, `${path}.successThreshold`, probe.successThreshold);
  nonNegative(errors, `${path}.failureThreshold`, probe.failureThreshold);
  const grace = probe.terminationGracePeriodSeconds;
  if (grace !== undefined && grace <= 0)
    errors.push(invalidValue(`${path}.terminationGracePeriodSeconds`, grace, "must be greater than 0"));
  if (kind === "readiness") {
    if (grace !== undefined)
      errors.push(invalidValue(`${path}.terminationGracePeriodSeconds`, grace, "must not be set for readinessProbes"));
  } else if (probe.successThreshold !== undefined && probe.successThreshold !== 1) {
    errors.push(invalidValue(`${path}.successThreshold`, probe.successThreshold, "must be 1"));
  }
}
