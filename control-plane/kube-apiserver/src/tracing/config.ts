import { readConfigDocument } from "../files/config-document.ts";

/** Where traces go, and how many requests are traced of themselves. */
export interface TracingConfig {
  /** `HOST:PORT`, without TLS. */
  readonly endpoint: string;
  /** Of a million requests; requests that are part of a traced one are always. */
  readonly samplesPerMillion: number;
}

const MILLION = 1_000_000;

/** Reads a TracingConfiguration (YAML or JSON). Throws, naming everything that is wrong. */
export async function readTracingConfig(content: string): Promise<TracingConfig> {
  const versions = ["v1", "v1beta1", "v1alpha1"];
  const config = await readConfigDocument(content, "TracingConfiguration", versions, (root) => ({
    endpoint: root.optionalText("endpoint") ?? "localhost:4317",
    samplesPerMillion: root.integer("samplingRatePerMillion") ?? 0,
  }));
  const { samplesPerMillion: rate, endpoint } = config;
  const problem = (why: string): Error => new Error(`tracing.samplingRatePerMillion: Invalid value: ${rate}: ${why}`);
  if (rate < 0) throw problem("sampling rate must be positive");
  if (rate > MILLION) throw problem("sampling rate per million must be less than or equal to one million");
  if (!URL.canParse(`http://${endpoint}`)) {
    throw new Error(`tracing.endpoint: Invalid value: ${JSON.stringify(endpoint)}: invalid endpoint`);
  }
  return config;
}
