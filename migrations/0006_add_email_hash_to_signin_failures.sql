-- Whose count it is: the hash of the address alone, where `key` hashes it together with the network. With it an account's
-- counts are found when it goes. The release before goes on counting under the same keys and leaves it null: such counts
-- go a day after their last failure, or get it with the next one that this release counts.
SET LOCAL lock_timeout = '5s';

ALTER TABLE signin_failures ADD COLUMN email_hash BYTEA;
