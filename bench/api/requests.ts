import type { ApiCall } from "./connection.ts";
import {
  CONFIG_MAPS_PATH,
  configMapBody,
  configMapName,
  podBody,
  podName,
  PODS_PATH,
  WIDGETS_PATH,
  widgetBody,
} from "./objects.ts";

/** What one request is made of. */
export interface RequestNumbers {
  /** Differs for each request of a run. */
  readonly serial: number;
  /** Of an object that is there. */
  readonly existing: number;
  /** Of an object that is not there yet. */
  readonly fresh: number;
}

interface Request {
  readonly call: (numbers: RequestNumbers) => ApiCall;
  /** The status of the answer. */
  readonly expected: number;
}

const PROTOBUF = "application/vnd.kubernetes.protobuf";
const MERGE = "application/merge-patch+json";
const STRATEGIC = "application/strategic-merge-patch+json";
const APPLY = "application/apply-patch+yaml";

const get = (path: (existing: number) => string, accept?: string): Request => ({
  call: ({ existing }) => ({ method: "GET", path: path(existing), accept }),
  expected: 200,
});

const patch = (
  contentType: string,
  path: (existing: number) => string,
  body: (serial: string, existing: number) => unknown,
): Request => ({
  call: ({ serial, existing }) => ({
    method: "PATCH",
    path: path(existing),
    contentType,
    body: JSON.stringify(body(String(serial), existing)),
  }),
  expected: 200,
});

const create = (path: string, body: (fresh: number, serial: number) => string): Request => ({
  call: ({ fresh, serial }) => ({ method: "POST", path, body: body(fresh, serial) }),
  expected: 201,
});

const podPath = (number: number): string => `${PODS_PATH}/${podName(number)}`;

/** Every kind of request that is measured. */
const REQUESTS = {
  get: get(podPath),
  listPage: get(() => `${PODS_PATH}?limit=500`),
  list: get(() => PODS_PATH),
  listProtobuf: get(() => PODS_PATH, PROTOBUF),
  listByLabel: get((existing) => `${PODS_PATH}?labelSelector=shard%3D${existing % 100}`),
  create: create(PODS_PATH, podBody),
  mergePatch: patch(MERGE, podPath, (serial) => ({ metadata: { labels: { serial } } })),
  statusPatch: patch(
    STRATEGIC,
    (existing) => `${podPath(existing)}/status`,
    (message) => ({ status: { conditions: [{ type: "bench.example.com/Serial", status: "True", message }] } }),
  ),
  createConfigMap: create(CONFIG_MAPS_PATH, configMapBody),
  updateConfigMap: patch(
    MERGE,
    (existing) => `${CONFIG_MAPS_PATH}/${configMapName(existing)}`,
    (serial) => ({ data: { serial } }),
  ),
  getConfigMap: get((existing) => `${CONFIG_MAPS_PATH}/${configMapName(existing)}`),
  applyConfigMap: {
    call: ({ existing, serial }: RequestNumbers): ApiCall => ({
      method: "PATCH",
      path: `${CONFIG_MAPS_PATH}/${configMapName(existing)}?fieldManager=bench&force=true`,
      contentType: APPLY,
      body: configMapBody(existing, serial),
    }),
    expected: 200,
  },
  createWidget: create(WIDGETS_PATH, widgetBody),
  updateWidget: patch(
    MERGE,
    (existing) => `${WIDGETS_PATH}/${configMapName(existing)}`,
    (serial) => ({ spec: { settings: { serial } } }),
  ),
} as const satisfies Readonly<Record<string, Request>>;

export type RequestKind = keyof typeof REQUESTS;

/** The request of a kind, and the status that its answer should have. */
export function requestOf(kind: RequestKind): Request {
  return REQUESTS[kind];
}
