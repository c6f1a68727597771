"""The tick store: history of trades and quotes in Parquet files, catalogued by DuckLake in PostgreSQL."""
