import { Job } from "@coracle/api/batch/v1";
import type { Container, Pod } from "@coracle/api/core/v1";
import { podFromTemplate } from "../pods/pod-control.ts";
import { COMPLETION_INDEX } from "./indexes.ts";
import { countsPerIndex, FAILURE_COUNT, IGNORED_FAILURE_COUNT, type IndexHistory } from "./per-index.ts";
import { TRACKING } from "./plan.ts";

/** The next pod of a Job; with `index` that one of an Indexed Job, which it learns from its environment and hostname. */
export function podForJob(job: Job, index: number | undefined, history?: IndexHistory): Pod {
  const pod = podFromTemplate(Job, job, job.spec.template);
  const finalizers = [...(pod.metadata.finalizers ?? []), TRACKING];
  if (index === undefined) return { ...pod, metadata: { ...pod.metadata, finalizers } };
  const text = String(index);
  const hostname = `${job.metadata.name}-${index}`;
  const variable = {
    name: "JOB_COMPLETION_INDEX",
    valueFrom: { fieldRef: { fieldPath: `metadata.labels['${COMPLETION_INDEX}']` } },
  };
  const counts = countsPerIndex(job)
    ? {
        [FAILURE_COUNT]: String(history?.failures ?? 0),
        ...(history === undefined || history.ignored === 0 ? {} : { [IGNORED_FAILURE_COUNT]: String(history.ignored) }),
      }
    : {};
  const withIndex = (container: Container): Container =>
    container.env?.some((each) => each.name === variable.name) === true
      ? container
      : { ...container, env: [...(container.env ?? []), variable] };
  return {
    metadata: {
      ...pod.metadata,
      generateName: namePrefix(job.metadata.name ?? "", index),
      finalizers,
      labels: { ...pod.metadata.labels, [COMPLETION_INDEX]: text },
      annotations: { ...pod.metadata.annotations, [COMPLETION_INDEX]: text, ...counts },
    },
    spec: {
      ...pod.spec,
      hostname,
      containers: pod.spec.containers.map(withIndex),
      ...(pod.spec.initContainers === undefined ? {} : { initContainers: pod.spec.initContainers.map(withIndex) }),
    },
  };
}

/** Generated names end in five characters and have 63 at most. */
const MOST_PREFIX = 63 - 5;

/** `NAME-INDEX-`; of a long name so much that the index stands in it. */
function namePrefix(name: string, index: number): string {
  const end = `-${index}-`;
  return `${name.slice(0, MOST_PREFIX - end.length)}${end}`;
}
