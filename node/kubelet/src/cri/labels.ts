/** Labels and annotations by which a pod's parts are found again in the runtime, also by other tools. */
export const POD_NAME = "io.kubernetes.pod.name";
export const POD_NAMESPACE = "io.kubernetes.pod.namespace";
export const POD_UID = "io.kubernetes.pod.uid";
export const CONTAINER_NAME = "io.kubernetes.container.name";
export const CONTAINER_HASH = "io.kubernetes.container.hash";
export const RESTART_COUNT = "io.kubernetes.container.restartCount";
export const TERMINATION_PATH = "io.kubernetes.container.terminationMessagePath";
export const TERMINATION_POLICY = "io.kubernetes.container.terminationMessagePolicy";
export const POD_GRACE = "io.kubernetes.pod.terminationGracePeriod";
