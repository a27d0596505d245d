// Writes fixtures/messages.txt, the listing of every text that a person may read. Read what changed before it is kept.
//
//   npm run messages

import { writeListing } from "./write-listing.mjs";

writeListing("told::the_listing", "WRITE_MESSAGES");
