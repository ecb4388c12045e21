"""What will be asked for: history, signals and forecasts of demand."""
