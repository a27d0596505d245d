// Writes what is made of the rows in src/config/settings.json and src/codes.rs: the tables of the README, and the
// document that the host shows to whoever configures an agent.
//
//   npm run readme

import { writeListing } from "./write-listing.mjs";

writeListing("readme::", "WRITE_README");
