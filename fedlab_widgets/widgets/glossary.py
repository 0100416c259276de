"""The glossary as data: what "?" says of every term, in a sentence, an example and something to try."""

from typing import NamedTuple


class Word(NamedTuple):
    """What "?" opens: one sentence, an example, and something to try."""

    sentence: str
    example: str
    lesson: str


GLOSSARY: dict[str, Word] = {
    "client": Word("A client is one holder of data, such as a phone, a hospital or a bank, that trains on its own rows "
                   "and never sends them away.",
                   "Ten hospitals are ten clients; each sends what its model learned, not its patients.",
                   "Raise the number of clients: the same rows are split into smaller shares."),
    "round": Word("In a round the server sends the model out, clients train it, and the server combines what comes "
                  "back.", "30 rounds with 10 clients are 300 trainings and 30 new models.",
                  "Run 10 rounds, then 30, and see where the curve flattens."),
    "local epoch": Word("A local epoch is one pass of a client over all of its own rows before it reports.",
                        "With 100 rows, batches of 20 and 2 epochs, a client takes 10 steps in a round.",
                        "Set 1, then 5: fewer rounds are needed, but clients that disagree drift apart."),
    "non-iid": Word("Data are non-IID when clients hold different kinds of rows, so that no client is a small copy of "
                    "the whole.", "One client has mostly the digits 0 and 1, another mostly 8 and 9.",
                    "Compare the partition iid with dirichlet at alpha 0.1."),
    "dirichlet alpha": Word("Alpha says how alike the clients' mixes of labels are: small = more different.",
                            "0.1: most clients hold two or three labels; 100: all hold nearly the same mix.",
                            "Move it from 100 to 0.1 and watch the picture of the partition."),
    "skew": Word("Skew is the share of each group's rows that the group's own clients hold. With two groups 0.5 mixes "
                 "them evenly, and both 1 and 0 keep them apart.",
                 "0.9 with women and men: nine in ten of the women's rows lie with half of the clients.",
                 "Set 0.5, then 1: how do the redundant and unique parts of the gap change?"),
    "global disparity": Word("Global disparity is how much the model's answers tell about a person's group when all "
                             "clients are put together.",
                             "If 25 % of the men and 8 % of the women get the good answer, it is above zero.",
                             "It stands still in What if: moving rows between clients changes no prediction."),
    "local disparity": Word("Local disparity is how much the answers tell about the group inside the clients, once it "
                            "is known who holds a row.",
                            "Each hospital may treat its own patients alike while hospitals differ from each other.",
                            "Raise the skew from 0.5 and see local and global disparity part."),
    "unique": Word("The unique part of the disparity is in the answers alone, and knowing the client does not give it "
                   "away.", "With iid clients nearly all of the disparity is unique.",
                   "Choose the partition iid, then by group with skew 1."),
    "redundant": Word("The redundant part is what the answers tell about the group that the name of the client tells "
                      "as well. It does not mean that clients have no gap inside.",
                      "When women and men have different clients, the client gives the group away.",
                      "Raise the skew from 0.5: the redundant part grows, and the gaps inside clients may stay."),
    "masked": Word("The masked part shows only when answer and client are looked at together; one of them alone does "
                   "not tell.", "One client favours women, another men: over all of them the rates are equal.",
                   "Choose the partition masked with lambda near 1."),
    "bits": Word("A bit is the amount of information in one fair yes-or-no answer; disparity is measured in bits.",
                 "1 bit would give the group away for certain (two equal groups); 0.01 bit hardly helps a guess.",
                 "Read the rate gap in percentage points first, then the bits."),
    "band": Word("The band is the range of values that chance alone can explain with this many rows: it is drawn by "
                 "shuffling groups and, for redundant and masked, also by dealing people to the clients at random.",
                 "A bar inside the band cannot be told from zero; that is not a proof of fairness.",
                 "Use fewer rows or more clients: the bands widen."),
    "withheld": Word("A withheld attribute is kept from the model as an input; other columns may still reveal it.",
                     "Without sex, the columns relationship and occupation give it away for most people.",
                     "Run with and without withholding: does the gap go away?"),
    "parity": Word("Parity asks whether groups get the favourable answer equally often, whatever the truth.",
                   "20 % of the men and 20 % of the women are given the loan.",
                   "Compare with opportunity: both can rarely be met at once."),
    "opportunity": Word("Opportunity asks whether those who deserve the favourable answer get it equally often in each "
                        "group.", "Of those who would repay, 80 % of the men and 80 % of the women get the loan.",
                        "Find a run where parity is small and opportunity is not."),
    "odds": Word("Odds asks that groups have equal rates of right and of wrong favourable answers.",
                 "Opportunity, and also: of those who would not repay, equal shares get the loan.",
                 "It is the strictest of the three: look at it last."),
    "epsilon": Word("Epsilon bounds how much the published models can tell about whether one client took part: small = "
                    "more private.", "1 is strong, 3 is usual in courses, above 10 promises little.",
                    "Set a target of 10, then 3, then 1, and read the accuracy."),
    "delta": Word("Delta is the chance that the promise of epsilon does not hold; it must be far below one in the "
                  "number of clients.", "With 1000 clients, 0.0005.",
                  "Leave it empty: it then follows the number of clients."),
    "clipping": Word("Clipping shortens what a client sends to a longest length, so that nobody can pull too hard.",
                     "With clip 0.5 a row of length 2 is sent at a quarter of its length.",
                     "A small clip slows learning; a large one needs more noise for the same epsilon."),
    "aggregator": Word("The aggregator is the rule by which the server makes one answer of what the clients sent.",
                       "mean averages; median takes the middle value, so that a few liars cannot carry it away.",
                       "Let one in five clients lie, and compare mean with median."),
    "codec": Word("A codec decides what of the update really goes over the wire, to save bytes.",
                  "top k with fraction 0.1 sends one entry in ten, each with its place.",
                  "Compare accuracy against megabytes, not against rounds."),
    "worst client": Word("The worst client is the one whose held-out rows the model gets wrong most often.",
                         "Mean accuracy 88 %, worst client 69 %: somebody is served badly.",
                         "Look at its number of rows first: a small client is also a noisy one."),
    "up and down": Word("Up is what clients send to the server, down is what the server sends to clients.",
                        "A model of 40 kB and 10 clients: 400 kB down and 400 kB up in each round.",
                        "Codecs save up; keeping layers at home saves both."),
    "liar": Word("A liar is a client that sends, or trains on, something false on purpose.",
                 "0.2 makes one client in five a liar, chosen by the seed; \"1, 4\" names clients 1 and 4.",
                 "Raise the share until the mean fails, then try the median."),
    "method": Word("A method is a published recipe: a choice of local training, aggregator, server and the rest that "
                   "belongs together.", "fedprox is fedavg with a pull back to where the round began.",
                   "Keep everything else as it is, change only the method, and compare the two runs."),
    "convergence": Word("The convergence plot shows after each round how often the model is right: on the test rows, "
                        "and on rows of each client that nobody trained on.",
                        "A thick line at 86 % above a dashed one at 76 % is ten points better than always guessing.",
                        "Find the round from which the thick line no longer rises: the rest was paid for nothing."),
    "headline numbers": Word("The cards are the newest values of the plots, with the difference from the run before at "
                             "the same round.", "+1.2 points: this run is right on 1.2 in 100 rows more.",
                             "Change one thing, run again, and say first which card will move."),
    "horizontal axis": Word("The horizontal axis is what you pay with: rounds, megabytes sent, "
                            "seconds, or virtual time, in which slow clients take longer.",
                            "A method that needs fewer rounds may still send more megabytes.",
                            "Compare two runs by rounds, then by MB: does the same one win?"),
    "table view": Word("The table holds the same numbers as the plot, the newest round first.",
                       "Row 12 is what was read after round 12.",
                       "Open it where two lines lie too close to tell apart, or to copy a number."),
    "ghost": Word("The grey lines are the run before, so that two runs can be compared by eye.",
                  "A black line above the grey one: this run is ahead at that round.",
                  "Run the same settings with another seed: that much of a difference is chance."),
    "start": Word("Start trains with the settings in the form, from the first round.",
                  "30 rounds of the default run take about eight seconds at the speed \"watch\".",
                  "Press a quick start, then change one thing and press Start again."),
    "pause": Word("Pause holds the run after the step in hand; Go on takes it up where it was.",
                  "Held at round 12, it goes on with round 13, and gives the same result as without a pause.",
                  "Pause early, read the disparity plot, and say what you expect next."),
    "step": Word("Step trains one round and then holds.", "Three presses on Step are rounds 1, 2 and 3.",
                 "Step through the first five rounds: most of what is learned is learned there."),
    "stop": Word("Stop ends the run; the rounds that were recorded stay.",
                 "Stopped in round 12: eleven rounds can be read, compared and exported.",
                 "Stop a run that has flattened, and compare its megabytes with those of a full one."),
    "reset": Word("Reset clears the plots and the grey lines of the run before; settings and saved runs stay.",
                  "After a reset the next run has nothing to be compared with.",
                  "Reset before you begin a new comparison."),
    "speed": Word("The speed is how long the whole run takes on the screen; it does not change any result.",
                  "\"watch\" spreads 30 rounds over about eight seconds, \"full speed\" waits for nothing.",
                  "Watch once, then use full speed."),
    "quick start": Word("A quick start fills in the form and runs, to make one point.",
                        "\"A liar among us\" sets one client in ten to lie.",
                        "Press one, read its sentence, then undo what it set and run again."),
    "forecast": Word("The forecast says before Start what the run will take: rounds, time, bytes, privacy and memory.",
                     "\"7 MB up\" is exact where each round has the same clients; ≈ marks an estimate.",
                     "Double the clients and see which of the figures double."),
    "partition picture": Word("The picture shows what each client holds before any training: how many rows, and of "
                              "which labels and groups.",
                              "A row is a client: the grey bar is how many rows it holds, the others are its mixes.",
                              "Move the strength of the partition and watch the bars and the number beneath."),
    "heterogeneity": Word("Heterogeneity is how much a row's client tells about its label and group: 0 when all "
                          "clients are alike, 1 when they have nothing in common.",
                          "0.15 with women and men at different clients; 0.00 with an even split.",
                          "Move the skew from 0.5 to 1: where does the number grow fastest?"),
    "device": Word("The device is the processor that trains: the computer's own, or a graphics card.",
                   "Small models are often faster without a graphics card, since sending rows to it takes time.",
                   "Run both at full speed and compare the seconds."),
    "rate gap": Word("The rate gap is the difference between two groups in how often they are given the favourable "
                     "answer, in percentage points, with the interval that chance leaves open.",
                     "60 % of one group and 45 % of the other: +15.0 points.",
                     "Compare it with the gap in the data: a right answer for everybody would show that one."),
    "interval": Word("A 95 % interval is the range that the true gap lies in for 95 of 100 such samples.",
                     "+14.5 with an interval from +6.2 to +24.6 leaves zero out; −1.4 to +19.9 does not.",
                     "Look at the clients with the fewest rows: their intervals are the widest."),
    "fairness panel": Word("The panel shows who is given the favourable answer, over everybody and client by client, "
                           "and then the same in bits.", "The gap over everybody can be large while clients differ.",
                           "Read the gap first, then the table, and the bits last."),
    "what if": Word("What if deals the same people, with the answers they got, to other clients; nothing is trained.",
                    "Put all women at one half of the clients: unique becomes redundant, the gap over all stays.",
                    "Say before you drag what will move and what cannot."),
    "split": Word("A split says which client holds which of the people.",
                  "\"alike\" makes every client a small copy of the whole, \"by group\" gives each group a home.",
                  "Go from alike to by group and watch redundant and unique change places."),
    "train on this split": Word("The button starts a run whose clients hold the rows as the split above deals them.",
                                "What if moves people under a finished model; training makes a new model.",
                                "Train, and see whether the gap over everybody still stands where it stood."),
    "context": Word("The context is the run of characters that a model of text sees before the one it is to guess.",
                    "With a context of 8 it guesses from \"andsome,\" and no longer sees the name \"Emma\".",
                    "Set 8, then 64: the loss falls, and a round takes longer."),
    "transformer": Word("A transformer is a net for sequences: each place looks at those before it and decides how "
                        "much to take from each.",
                        "After \"Mr. Knightle\" it looks back at \"Knight\" and guesses \"y\".",
                        "Let a run of the method austen write before the first round and after the last."),
    "temperature": Word("The temperature says how boldly a model writes: at 1 it draws characters with the chances "
                        "that it gives them, below 1 likely ones come more often, at 0 only the likeliest.",
                        "At 0 it soon repeats \"the the the\"; at 2 it writes hardly a word.",
                        "Write the same prompt at 0, 0.7 and 1.5."),
}

ALSO = {"alpha": "dirichlet alpha", "clients": "client", "rounds": "round", "local epochs": "local epoch",
        "epoch": "local epoch", "iid": "non-iid", "atoms": "unique", "clip": "clipping", "noise": "epsilon",
        "up": "up and down", "down": "up and down", "bytes": "up and down", "communication": "up and down",
        "liars": "liar", "global": "global disparity", "aggregate": "aggregator",
        "run before": "ghost", "accuracy": "convergence", "table": "table view", "go on": "pause",
        "jensen-shannon": "heterogeneity"}
