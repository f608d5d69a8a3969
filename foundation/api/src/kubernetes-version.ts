/** The Kubernetes release whose API and behaviour all components speak. */
export const KUBERNETES_VERSION = "v1.35.4";

/** What components report as their version: the release, and who made them. */
export const COMPONENT_VERSION: string = `${KUBERNETES_VERSION}+coracle`;
