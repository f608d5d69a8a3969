import { nameIsDns1123Subdomain } from "@coracle/apimachinery";

/** Name and value grammars under the short names that rules use. Each answers the messages for a bad value. */
export {
  isCIdentifier as cIdentifier,
  isConfigMapKey as configMapKey,
  isDns1035Label as dns1035Label,
  isDns1123Label as dns1123Label,
  isDns1123Subdomain as dns1123Subdomain,
  isDns1123SubdomainWithUnderscore as dns1123SubdomainWithUnderscore,
  isDomainPrefixedPath as domainPrefixedPath,
  isHttpHeaderName as httpHeaderName,
  isLabelValue as labelValue,
  isPortName as portName,
  isPortNumber as portNumber,
  isQualifiedName as qualifiedName,
  isRelaxedEnvVarName as envVarName,
  isWildcardDns1123Subdomain as wildcardSubdomain,
  nameIsDns1035Label,
  nameIsDns1123Label,
  nameIsPathSegment as pathSegmentName,
} from "@coracle/apimachinery";

/** Names that newer rules look at: the limit is told in bytes. */
export const longName = (name: string, isPrefix: boolean): string[] =>
  nameIsDns1123Subdomain(name, isPrefix).map((message) =>
    isPrefix ? message : message.replace(/^must be no more than (\d+) characters$/, "must be no more than $1 bytes"),
  );
