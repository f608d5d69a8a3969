import { AutoscalerMonitor } from "../horizontal-pod-autoscaling/monitor.ts";

/** What the controllers of one process count and measure of themselves, under upstream's names. */
export class ControllerManagerMetrics {
  readonly autoscaling = new AutoscalerMonitor();

  /** All of it in Prometheus' text format. */
  text(): string {
    return this.autoscaling.text();
  }
}
