from ..local import SGD
from ..nets import Logistic
from ..partition import IID
from ..privatise import LocalNoise
from .book import enter

local_dp = enter(
    "local-dp", "FedAvg whose clients noise their own updates: privacy from the server too, at sqrt(clients) the noise",
    "Dwork and Roth, The Algorithmic Foundations of Differential Privacy, FnT TCS 2014",
    net=Logistic(),   # noise grows with the square root of the columns: small nets suffer less
    partition=IID(clients=300),
    local=SGD(lr=0.1, epochs=2, batch=8),
    privatise=LocalNoise(clip=0.5, epsilon=8.0),
)
