-- What people write is sealed by the vault before it is stored. Rows from before are sealed by `agio migrate`.
alter table custody.account drop constraint account_name_check;
alter table custody.account add constraint name_is_sealed
    check (name like 'sealed:%' and length(name) <= 2000) not valid;
alter table custody.transfer drop constraint transfer_reference_check;
alter table custody.transfer add constraint reference_is_sealed
    check (reference like 'sealed:%' and length(reference) <= 2000) not valid;
