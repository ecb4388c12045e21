"""Forecasts as they were made: runs, what they were made by, a row for each series, and what came of them.

Owns forecast_model, forecast_run, forecast_series and forecast_score. Promises that what was once
forecast is not changed afterwards, that at most one model of a kind is in charge and at most one on trial, and that the
scores of a run outlive its series. Start reading at model.py; flows/forecasts/ makes and judges them.
"""
