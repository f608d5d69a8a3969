/**
 * One request of the comparison. `{{KEY.member.member}}` in path and body stands for what an earlier step that was
 * saved as KEY had answered on the same server.
 */
export interface Step {
  /** What is compared here: differences are counted by it. */
  readonly topic: string;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS" | "TRACE";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly save?: string;
  /** Made to bring both servers to the same state; its answer is not compared. */
  readonly isSetUp?: boolean;
}

/** Steps that need one another's effects; chapters are carried out one after the other. */
export type Chapter = readonly Step[];

const JSON_TYPE = { "content-type": "application/json" };

/** A step with a JSON body. */
export function jsonStep(
  topic: string,
  method: Step["method"],
  path: string,
  body: unknown,
  more: Partial<Step> = {},
): Step {
  return { topic, method, path, body: JSON.stringify(body), ...more, headers: { ...JSON_TYPE, ...more.headers } };
}

/** A patch of the given kind. */
export function patchStep(
  topic: string,
  kind: "json" | "merge" | "strategic" | "apply",
  path: string,
  body: unknown,
  more: Partial<Step> = {},
): Step {
  const type = {
    json: "application/json-patch+json",
    merge: "application/merge-patch+json",
    strategic: "application/strategic-merge-patch+json",
    apply: "application/apply-patch+yaml",
  }[kind];
  return jsonStep(topic, "PATCH", path, body, { ...more, headers: { "content-type": type, ...more.headers } });
}

/** Fills in what earlier steps answered. */
export function fillIn(text: string, saved: ReadonlyMap<string, unknown>): string {
  return text.replaceAll(/\{\{([\w-]+)((?:\.[\w-]+)*)\}\}/g, (_whole, key: string, path: string) => {
    let at: unknown = saved.get(key);
    for (const member of path.split(".").slice(1)) at = (at as Record<string, unknown> | undefined)?.[member];
    return typeof at === "string" ? at : JSON.stringify(at ?? "");
  });
}
