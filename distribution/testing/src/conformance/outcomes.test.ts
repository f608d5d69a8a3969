import { describe, expect, it } from "vitest";
import { countByGroup, outcomesOf, shortName } from "./outcomes.ts";
import { imageNameOf, renamedIndex, suiteCommand } from "./official-suite.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4"><testsuite name="suite">
<testcase name="[SynchronizedBeforeSuite]" classname="suite" status="passed" time="0.4"></testcase>
<testcase name="[It] [sig-apps] Job should delete a job [Conformance]" classname="suite" status="passed" time="12.5">
  <system-err>&gt; Enter</system-err>
</testcase>
<testcase name="[It] [sig-node] Probing container should *not* be restarted with a exec &#34;cat /tmp/health&#34; liveness probe [NodeConformance] [Conformance]" status="failed" time="3"><failure message="" type="failed">[FAILED] a &lt; b&#xA;second</failure></testcase>
<testcase name="[It] [sig-node] Pods should be updated [Conformance]" status="skipped" time="0"><skipped message="skipped"></skipped></testcase>
</testsuite></testsuites>`;

describe("a report of the suite", () => {
  it("tells of the tests that ran, and what went wrong", () => {
    expect(outcomesOf(REPORT)).toEqual([
      { name: "Job should delete a job", group: "sig-apps", passed: true, seconds: 12.5, failure: "" },
      {
        name: 'Probing container should *not* be restarted with a exec "cat /tmp/health" liveness probe',
        group: "sig-node",
        passed: false,
        seconds: 3,
        failure: "[FAILED] a < b\nsecond",
      },
    ]);
    expect([...countByGroup(outcomesOf(REPORT))]).toEqual([
      ["sig-apps", { passed: 1, ran: 1 }],
      ["sig-node", { passed: 0, ran: 1 }],
    ]);
  });

  it("has names without marks, save for the one a name begins with", () => {
    expect(shortName("[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 DeviceClass [Conformance]")).toBe(
      "[DRA] CRUD Tests resource.k8s.io/v1 DeviceClass",
    );
    expect(shortName("[It] [sig-apps] Daemon set [Serial] should rollback [Conformance]")).toBe(
      "Daemon set should rollback",
    );
  });
});

describe("the command of the suite", () => {
  const options = {
    suite: "/e2e.test",
    ginkgo: "/ginkgo",
    processes: 4,
    nodes: 2,
    focus: "",
    kubeconfig: "/k",
    kubectl: "/kubectl",
    reports: "/out",
  };

  it("runs what may run side by side with the program for that, and the rest alone", () => {
    const [parallel, args] = suiteCommand("parallel", options);
    expect([parallel, args[0], args.includes("--label-filter=Conformance && !Serial && !Disruptive")]).toEqual([
      "/ginkgo",
      "--procs=4",
      true,
    ]);
    const [serial, alone] = suiteCommand("serial", { ...options, focus: "sig-apps" });
    expect([serial, alone[0], alone[1]]).toEqual([
      "/e2e.test",
      "--ginkgo.label-filter=Conformance && (Serial || Disruptive)",
      "--ginkgo.focus=sig-apps",
    ]);
  });
});

describe("an image of the suite", () => {
  it("is named after its folder", () => {
    expect(imageNameOf("e2e-test-images_busybox_1.37.0-1")).toBe("localhost/e2e-test-images/busybox:1.37.0-1");
    expect(imageNameOf("pause_3.10.1")).toBe("localhost/pause:3.10.1");
    expect(imageNameOf("README.md")).toBeUndefined();
    expect(renamedIndex('{"manifests":[{"digest":"d"}]}', "localhost/pause:3")).toBe(
      '{"manifests":[{"digest":"d","annotations":{"org.opencontainers.image.ref.name":"localhost/pause:3"}}]}',
    );
  });
});
