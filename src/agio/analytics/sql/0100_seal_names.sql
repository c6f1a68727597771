-- Names are sealed by the vault before they are stored. Rows from before are sealed by `agio migrate`.
alter table analytics.portfolio drop constraint portfolio_name_check;
alter table analytics.portfolio add constraint name_is_sealed
    check (name like 'sealed:%' and length(name) <= 2000) not valid;
