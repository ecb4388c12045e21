"""Cities of the simulated world: real places, with the people that live around them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """Where shoppers live. `people` in thousands, of the city with its surroundings, rounded."""

    name: str
    country: str
    postal_prefix: str
    latitude: float
    longitude: float
    people: int


CITIES = tuple(
    City(name=name, country=country, postal_prefix=prefix, latitude=lat, longitude=lon, people=people)
    for name, country, prefix, lat, lon, people in (
        ("Paris", "FR", "750", 48.86, 2.35, 11_000),
        ("Lyon", "FR", "690", 45.76, 4.84, 2_300),
        ("Marseille", "FR", "130", 43.30, 5.37, 1_800),
        ("Toulouse", "FR", "310", 43.60, 1.44, 1_400),
        ("Nantes", "FR", "440", 47.22, -1.55, 1_000),
        ("Lille", "FR", "590", 50.63, 3.06, 1_200),
        ("Bordeaux", "FR", "330", 44.84, -0.58, 1_200),
        ("Strasbourg", "FR", "670", 48.57, 7.75, 800),
        ("Berlin", "DE", "101", 52.52, 13.40, 4_600),
        ("Hamburg", "DE", "200", 53.55, 9.99, 3_400),
        ("Munich", "DE", "803", 48.14, 11.58, 2_900),
        ("Cologne", "DE", "506", 50.94, 6.96, 2_100),
        ("Frankfurt", "DE", "603", 50.11, 8.68, 2_700),
        ("Stuttgart", "DE", "701", 48.78, 9.18, 2_800),
        ("Leipzig", "DE", "041", 51.34, 12.37, 1_000),
        ("Hanover", "DE", "301", 52.37, 9.73, 1_100),
        ("Amsterdam", "NL", "101", 52.37, 4.90, 2_500),
        ("Rotterdam", "NL", "301", 51.92, 4.48, 1_900),
        ("Eindhoven", "NL", "561", 51.44, 5.47, 800),
        ("Brussels", "BE", "100", 50.85, 4.35, 2_100),
        ("Antwerp", "BE", "200", 51.22, 4.40, 1_100),
        ("Luxembourg", "LU", "111", 49.61, 6.13, 500),
        ("Madrid", "ES", "280", 40.42, -3.70, 6_700),
        ("Barcelona", "ES", "080", 41.39, 2.17, 5_200),
        ("Valencia", "ES", "460", 39.47, -0.38, 1_700),
        ("Seville", "ES", "410", 37.39, -5.98, 1_500),
        ("Bilbao", "ES", "480", 43.26, -2.93, 1_000),
        ("Lisbon", "PT", "100", 38.72, -9.14, 2_900),
        ("Porto", "PT", "400", 41.15, -8.61, 1_700),
        ("Milan", "IT", "201", 45.46, 9.19, 4_900),
        ("Rome", "IT", "001", 41.90, 12.50, 4_200),
        ("Turin", "IT", "101", 45.07, 7.69, 1_700),
        ("Naples", "IT", "801", 40.85, 14.27, 3_000),
        ("Bologna", "IT", "401", 44.49, 11.34, 1_000),
        ("Florence", "IT", "501", 43.77, 11.26, 900),
        ("Vienna", "AT", "101", 48.21, 16.37, 2_900),
        ("Graz", "AT", "801", 47.07, 15.44, 600),
        ("Zurich", "CH", "800", 47.38, 8.54, 1_400),
        ("Geneva", "CH", "120", 46.20, 6.14, 600),
        ("Prague", "CZ", "110", 50.08, 14.44, 2_700),
        ("Brno", "CZ", "602", 49.20, 16.61, 700),
        ("Bratislava", "SK", "811", 48.15, 17.11, 700),
        ("Budapest", "HU", "101", 47.50, 19.04, 3_000),
        ("Warsaw", "PL", "001", 52.23, 21.01, 3_100),
        ("Krakow", "PL", "300", 50.06, 19.94, 1_500),
        ("Poznan", "PL", "608", 52.41, 16.93, 1_000),
        ("Wroclaw", "PL", "500", 51.11, 17.04, 1_000),
        ("Gdansk", "PL", "800", 54.35, 18.65, 1_100),
        ("Copenhagen", "DK", "100", 55.68, 12.57, 2_100),
        ("Aarhus", "DK", "800", 56.16, 10.20, 600),
        ("Malmo", "SE", "211", 55.60, 13.00, 700),
        ("Gothenburg", "SE", "411", 57.71, 11.97, 1_000),
        ("Stockholm", "SE", "111", 59.33, 18.07, 2_400),
        ("Ljubljana", "SI", "100", 46.06, 14.51, 500),
        ("Zagreb", "HR", "100", 45.81, 15.98, 1_100),
        ("Dublin", "IE", "D01", 53.35, -6.26, 1_900),
    )
)
