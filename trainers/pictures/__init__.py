"""From a picture as it comes to what a network takes, and a served network's answer.

Needs Pillow and NumPy, and `served` torch. Imports nothing of the project: a network that is registered brings this
folder along as the package `pictures`, which is why its modules name each other relatively.
"""
