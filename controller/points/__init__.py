"""The one point list: every value shown to anyone, with its tag, unit, access, place in the image and addresses."""
