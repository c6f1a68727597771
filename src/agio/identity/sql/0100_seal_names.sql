-- Names are sealed by the vault before they are stored. Rows from before are sealed by `agio migrate`.
alter table identity.organisation drop constraint organisation_name_check;
alter table identity.organisation add constraint name_is_sealed
    check (name like 'sealed:%' and length(name) <= 2000) not valid;
alter table identity.api_key drop constraint api_key_name_check;
alter table identity.api_key add constraint name_is_sealed
    check (name like 'sealed:%' and length(name) <= 2000) not valid;
