// Unpacks the Chromium that the npm package @sparticuz/chromium brings, with the libraries and fonts it needs.
// node scripts/unpack-browser.cjs PACKAGE DIRECTORY
"use strict";
const { execFileSync } = require("node:child_process");
const { chmodSync, mkdirSync, readFileSync, writeFileSync } = require("node:fs");
const { join, resolve } = require("node:path");
const { brotliDecompressSync } = require("node:zlib");

const [from, to] = process.argv.slice(2);
mkdirSync(to, { recursive: true });
const unpacked = (name) => brotliDecompressSync(readFileSync(join(from, "bin", `${name}.br`)));
for (const name of ["al2023.tar", "fonts.tar"]) execFileSync("tar", ["-x", "-C", to], { input: unpacked(name) });
const fonts = join(to, "fonts.conf"); // which names a place that the package would unpack to
writeFileSync(fonts, readFileSync(fonts, "utf8").replace(/<dir>[^<]*<\/dir>/g, `<dir>${resolve(to, "fonts")}</dir>`));
writeFileSync(join(to, "chromium"), unpacked("chromium"));
chmodSync(join(to, "chromium"), 0o755);
