"""Live market data: one supervised runner for all venues, and a thin connector for each of them."""
