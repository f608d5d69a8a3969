import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { controllers } from "../control-plane/kube-controller-manager/src/manager/registry.ts";

const folder = new URL("../distribution/testing/src/control-plane/", import.meta.url);

/** Of each controller a story with the real API server, time in the test's hand: the file, and how the story begins. */
const STORIES: Readonly<Record<string, readonly [file: string, title: string]>> = {
  "bootstrap-signer-controller": ["token-stories", "cluster-info is signed with every token"],
  "certificatesigningrequest-approving-controller": [
    "controller-stories",
    "a kubelet's client certificate is approved",
  ],
  "certificatesigningrequest-cleaner-controller": ["controller-stories", "a kubelet's client certificate is approved"],
  "certificatesigningrequest-signing-controller": ["controller-stories", "a kubelet's client certificate is approved"],
  "clusterrole-aggregation-controller": ["custom-resource-stories", "rights to custom resources are given"],
  "cronjob-controller": ["housekeeping-stories", "a CronJob runs every noon of a month"],
  "daemonset-controller": ["controller-stories", "a DaemonSet reaches a new node"],
  "deployment-controller": ["workload-stories", "a new template replaces pods"],
  "device-taint-eviction-controller": ["gated-stories", "says whom it would drive away"],
  "disruption-controller": ["controller-stories", "an eviction waits until its budget allows it"],
  "endpoints-controller": ["housekeeping-stories", "Endpoints hold the addresses"],
  "endpointslice-controller": ["workload-stories", "a Service's EndpointSlice holds the addresses"],
  "endpointslice-mirroring-controller": ["controller-stories", "Endpoints written by hand are shown as slices"],
  "ephemeral-volume-controller": ["volume-stories", "has a claim that the pod owns"],
  "garbage-collector-controller": ["lifecycle-stories", "a circle of owners does not block"],
  "horizontal-pod-autoscaler-controller": ["autoscaling-stories", "a busy Deployment grows as fast as it may"],
  "job-controller": ["controller-stories", "a Job whose pods fail waits longer each time"],
  "kube-apiserver-serving-clustertrustbundle-publisher-controller": [
    "housekeeping-stories",
    "the authority of the API server is published",
  ],
  "legacy-serviceaccount-token-cleaner-controller": ["token-stories", "a former token of an account"],
  "namespace-controller": ["controller-stories", "a namespace that is held says by what"],
  "node-ipam-controller": ["housekeeping-stories", "every node gets a range of pod addresses"],
  "node-lifecycle-controller": ["node-stories", "when all do, it is more likely us"],
  "persistentvolume-attach-detach-controller": ["attachment-stories", "is attached where its pod is"],
  "persistentvolume-binder-controller": ["volume-stories", "come together; the volume is kept"],
  "persistentvolume-expander-controller": ["volume-stories", "waits for whoever makes the volume larger"],
  "persistentvolume-protection-controller": ["housekeeping-stories", "a claim in use and a volume that is bound stay"],
  "persistentvolumeclaim-protection-controller": [
    "housekeeping-stories",
    "a claim in use and a volume that is bound stay",
  ],
  "pod-garbage-collector-controller": ["housekeeping-stories", "go when their node is gone"],
  "podcertificaterequest-cleaner-controller": ["housekeeping-stories", "a pod's request for a certificate goes"],
  "replicaset-controller": ["workload-stories", "a Deployment becomes a ReplicaSet"],
  "replicationcontroller-controller": ["lifecycle-stories", "a ReplicationController's pods go with it"],
  "resourceclaim-controller": ["device-stories", "is told that there is no such template"],
  "resourcequota-controller": ["quota-stories", "a changed quota is counted anew"],
  "root-ca-certificate-publisher-controller": ["lifecycle-stories", "every namespace has the authority's certificate"],
  "selinux-warning-controller": ["selinux-stories", "pods that share a volume and want it labelled differently"],
  "service-cidr-controller": ["protection-stories", "is ready and protected"],
  "serviceaccount-controller": ["housekeeping-stories", "every namespace has an account for its pods"],
  "serviceaccount-token-controller": ["controller-stories", "a secret for a service account's token"],
  "statefulset-controller": ["controller-stories", "a StatefulSet is made in order"],
  "storage-version-migrator-controller": ["gated-stories", "writes each object anew"],
  "storageversion-garbage-collector-controller": ["housekeeping-stories", "what a server that is gone said"],
  "taint-eviction-controller": ["controller-stories", "a silent node is NotReady, tainted"],
  "token-cleaner-controller": ["token-stories", "cluster-info is signed with every token"],
  "ttl-after-finished-controller": ["controller-stories", "an ended Job is deleted with its pods"],
  "ttl-controller": ["token-stories", "nodes are told how long they may keep"],
  "validatingadmissionpolicy-status-controller": ["admission-policy-stories", "that cannot work for its kinds"],
  "volumeattributesclass-protection-controller": ["protection-stories", "goes when no claim has it any more"],
};

it("every controller has a story, and every story is there", () => {
  expect(Object.keys(STORIES).toSorted()).toEqual(controllers.map(({ name }) => name).toSorted());
  const missing = Object.entries(STORIES).filter(([, [file, title]]) => {
    const text = readFileSync(fileURLToPath(new URL(`${file}.test.ts`, folder)), "utf8");
    return !text.replaceAll(/\bit\(\s*/g, "it(").includes(`it("${title}`);
  });
  expect(missing).toEqual([]);
});
