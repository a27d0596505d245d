// Writes the README's tables of settings and error codes from the rows in src/config/settings.json and src/codes.rs.
//
//   npm run readme

import { writeListing } from "./write-listing.mjs";

writeListing("readme::", "WRITE_README");
