import { IMAGE } from "./bench-cluster.ts";

const container = (command: readonly string[], more: object = {}): object => ({
  name: "main",
  image: IMAGE,
  imagePullPolicy: "IfNotPresent",
  command,
  ...more,
});

/** One pod of one container that does nothing. */
export function singlePod(name: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: { terminationGracePeriodSeconds: 1, containers: [container(["sleep", "100000"])] },
  });
}

/** Many pods of one Deployment. */
export function deployment(name: string, replicas: number): string {
  const labels = { app: name };
  return JSON.stringify({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { terminationGracePeriodSeconds: 1, containers: [container(["sleep", "100000"])] },
      },
    },
  });
}

/** A web server behind a Service, and a pod that succeeds once it got its page by the Service's name. */
export function webAndClient(): string {
  const labels = { app: "web" };
  const serve = "mkdir -p /www && echo it works >/www/index.html && exec httpd -f -p 8080 -h /www";
  const fetch = "until wget -q -O- http://web.default.svc.cluster.local; do sleep 0.05; done";
  const objects = [
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "web" },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 1,
            containers: [container(["sh", "-c", serve], { ports: [{ containerPort: 8080 }] })],
          },
        },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web" },
      spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
    },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "client" },
      spec: {
        restartPolicy: "Never",
        terminationGracePeriodSeconds: 1,
        containers: [container(["sh", "-c", fetch])],
      },
    },
  ];
  return objects.map((object) => JSON.stringify(object)).join("\n---\n");
}
