import type { Logger } from "@coracle/base";
import { watchFile, type WatchedFile } from "../files/watched-file.ts";
import { parseAuthorities, type Authorities, type AuthoritiesSource } from "./client-certificate.ts";

/** Authorities that follow their file. */
export interface FollowedAuthorities {
  readonly current: AuthoritiesSource;
  readonly watched: WatchedFile | undefined;
}

/** Authorities from `pem`, and from `path` from the file's next change on. Throws when `pem` holds no certificate. */
export function followAuthorities(options: {
  readonly pem: string;
  readonly path: string | undefined;
  readonly logger: Logger;
  readonly onChange: () => void | Promise<void>;
}): FollowedAuthorities {
  let current: Authorities = parseAuthorities(options.pem);
  const { path, logger } = options;
  const watched =
    path === undefined
      ? undefined
      : watchFile({
          path,
          logger,
          initial: options.pem,
          async onChange(content) {
            current = parseAuthorities(content);
            await options.onChange();
          },
        });
  return { current: () => current, watched };
}
