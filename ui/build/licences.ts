// Writes LICENSES.txt beside the built files: what of other people's is in them, and under which licence.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

/** Licences that may be in what we ship. */
const ALLOWED = new Set(["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "0BSD", "MIT OR Apache-2.0"]);

/** The folder of the package that a module belongs to, if it is a package's. */
function packageOf(module: string): string | null {
  const file = module.replace(/^\0/, "").split("?")[0] ?? "";
  const found = /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(file);
  return found?.[0] ?? null;
}

export function licences(): Plugin {
  return {
    name: "qyvo-licences",
    apply: "build",
    generateBundle(_options, bundle) {
      const folders = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const [module, { renderedLength }] of Object.entries(chunk.modules)) {
          const folder = renderedLength > 0 ? packageOf(module) : null;
          if (folder && existsSync(join(folder, "package.json"))) folders.add(folder);
        }
      }
      const parts = [...folders].map((folder) => {
        const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
        if (!ALLOWED.has(license)) this.error(`${name} is under ${license}, which may not be in what we ship`);
        const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
        const text = file ? readFileSync(join(folder, file), "utf8").trim() : `Licence: ${license}`;
        return `${name} ${version} (${license})\n\n${text}\n`;
      });
      const head = "The admin page of Qyvo has these packages in it.\n";
      const source = [head, ...parts.sort()].join(`\n${"-".repeat(80)}\n\n`);
      this.emitFile({ type: "asset", fileName: "LICENSES.txt", source });
    },
  };
}
