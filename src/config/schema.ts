/**
 * Zod's functional surface, with its English messages: a page pays only for the checks it uses, and nothing compiles code at run time
 * (the methods of "zod" came to 24 of 94 kB gzipped, and probe `new Function`; 2026-11). `package.json` names this file among its side effects.
 */
import { en } from "zod/locales";
import * as z from "zod/mini";

z.config(en());

export { z };
